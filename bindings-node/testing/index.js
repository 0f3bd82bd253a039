'use strict'

// Loads the addon of the testing kit for `webhook-mtls/testing`, whose loader knows the platform.
// This package is not an API of its own.
module.exports = (platform) => require(`webhook-mtls-testing-${platform}`)
