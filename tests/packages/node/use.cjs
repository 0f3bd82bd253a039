'use strict'

// Delivers to the kit, verifies a certificate of its CA, and sees a refusal.

module.exports = async ({ Dispatcher, TenantRule, Verifier, Lab }) => {
  const lab = await Lab.start()
  const consumer = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  if (!(dispatcher instanceof Dispatcher)) throw new Error('two copies of the package')
  const endpoint = dispatcher.endpoint('acme', consumer.url, { pins: null })
  const receipt = await dispatcher.deliver(endpoint, '{}', { id: 'evt_1' })
  const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
  const verifier = new Verifier({ role: 'client', trust: lab.trust, tenant })
  const peer = verifier.verify(lab.identityPem.cert)
  consumer.misbehave('expired')
  const other = dispatcher.endpoint('other', consumer.url, { pins: null })
  const failure = await dispatcher.deliver(other, '{}').catch((error) => error)
  console.log(receipt.status, peer.tenant, failure.kind)
  await dispatcher.close()
  await lab.close()
}

if (require.main === module) {
  module.exports({ ...require('webhook-mtls'), ...require('webhook-mtls/testing') })
}
