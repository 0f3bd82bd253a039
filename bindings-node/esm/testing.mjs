// The testing kit for `import`.

import api from '../dist/testing.js'

export const { Consumer, error, Lab, panic, tables } = api
