// The options of the middleware, from the arguments DIALECT and FOLDER.

import { join } from 'node:path'
import { Hop, TenantRule, Trust, Verifier } from 'webhook-mtls'

export function options() {
  const [dialect, folder] = process.argv.slice(2)
  const file = (name) => join(folder, name)
  const trust = Trust.fromFiles(file('root.pem'), {
    intermediates: file('issuing.pem'), crls: file('crls.pem'),
  })
  const tenant = TenantRule.sanUri('spiffe://corp.example/tenant/{tenant}')
  const verifier = new Verifier({ role: 'client', trust, tenant })
  return { verifier, dialect, hop: Hop.address('edge', '127.0.0.1'), exclude: ['/health'] }
}
