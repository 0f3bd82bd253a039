// A test of an application, as jest runs it.

const { Lab } = require('webhook-mtls/testing')

let lab, acme, dispatcher

beforeAll(async () => {
  lab = await Lab.start()
  acme = await lab.consumer('acme')
  dispatcher = lab.dispatcher()
})

afterAll(async () => {
  await dispatcher.close()
  await lab.close()
})

test('a delivery arrives', async () => {
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  await expect(dispatcher.deliver(endpoint, '{}')).resolves.toMatchObject({ status: 200, consumer: 'acme' })
  acme.misbehave('never_ask')
  const unproven = dispatcher.endpoint('other', acme.url, { pins: null })
  await expect(dispatcher.deliver(unproven, '{}')).rejects.toMatchObject({
    kind: 'client_auth_not_requested',
  })
})
