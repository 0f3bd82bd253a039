// Loads the addon, and says plainly why if it does not load. Everything that crosses is typed here.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** A noun of the core, opaque here. */
export type Handle = { readonly native: unique symbol }

/** A value, or the JSON of an error. */
export type Outcome<T> = { value: T; error?: undefined } | { error: string; value?: undefined }

/** An option by its snake_case name; the one value that is there says its type. */
export interface Given {
  name: string
  millis?: number
  number?: number
  text?: string
  texts?: string[]
  flag?: boolean
  pairs?: [string, string][]
}

export interface DispatcherGiven { identity?: Handle; trust?: Handle; egress?: Handle; settings: Given[] }
export interface EndpointGiven { pinsSaid: boolean; pins?: Handle; identity?: Handle; trust?: Handle; settings: Given[] }
export interface VerifierGiven { role: string; trust: Handle; pins?: Handle; tenant?: Handle; authorization?: Handle; settings: Given[] }

interface Received {
  id?: string
  method: string
  path: string
  headers: [string, string][]
  body: Uint8Array
  tenant?: string
}

interface Addon {
  identityFromFiles(cert: string, key: string, passphrase?: string): Outcome<Handle>
  identityFromPem(cert: Uint8Array, key: Uint8Array, passphrase?: string): Outcome<Handle>
  trustFromFiles(anchors: string, intermediates?: string, crls?: string): Outcome<Handle>
  trustFromPem(anchors: Uint8Array, intermediates: Uint8Array | undefined, crls: Uint8Array[]): Outcome<Handle>
  pins(current: string[], next: string[]): Outcome<Handle>
  pinsFromFile(path: string): Outcome<Handle>
  pinOf(certificate: Uint8Array): Outcome<string>
  egress(preset: string, allow: string[], deny: string[]): Outcome<Handle>
  dispatcher(given: DispatcherGiven): Outcome<Handle>
  dispatcherEndpoint(dispatcher: Handle, consumer: string, url: string, given: EndpointGiven): Outcome<Handle>
  dispatcherRemove(dispatcher: Handle, consumer: string): Outcome<boolean>
  dispatcherClose(dispatcher: Handle, drainMs: number): Promise<Outcome<undefined>>
  dispatcherDeliver(dispatcher: Handle, endpoint: Handle, body: Uint8Array, settings: Given[], cancel: Handle): Promise<Outcome<string>>
  deliverOnce(url: string, body: Uint8Array, dispatcher: DispatcherGiven, endpoint: EndpointGiven, settings: Given[], cancel: Handle): Promise<Outcome<string>>
  endpointConsumer(endpoint: Handle): string
  endpointUrl(endpoint: Handle): string
  endpointIs(endpoint: Handle, other: Handle): boolean
  endpointStatus(endpoint: Handle): Outcome<string>
  cancelToken(): Handle
  cancel(token: Handle): void
  wrongType(option: string, expected: string, seen: string): string
  errorFromJson(text: string): Outcome<string>
  errorPublic(text: string): Outcome<string>
  retryPolicy(settings: Given[]): Outcome<Handle>
  retryDecide(policy: Handle, error: string, attempt: number): Outcome<string>
  tables(): string
  tenantSanUri(template: string): Outcome<Handle>
  tenantSanDnsSuffix(suffix: string): Outcome<Handle>
  tenantSubjectCn(): Handle
  authorizationSanUris(uris: string[]): Outcome<Handle>
  authorizationTrustDomain(domain: string): Outcome<Handle>
  authorizationCaMembers(): Handle
  verifier(given: VerifierGiven): Outcome<Handle>
  verify(verifier: Handle, chain: Uint8Array, serverName?: string, atMs?: number): Outcome<string>
  verifyChain(verifier: Handle, chain: Uint8Array[], serverName?: string, atMs?: number): Outcome<string>
  labStart(): Promise<Outcome<Handle>>
  labClose(lab: Handle): Promise<Outcome<undefined>>
  labIdentity(lab: Handle): Outcome<Handle>
  labTrust(lab: Handle): Outcome<Handle>
  labWriteFiles(lab: Handle, directory: string): Outcome<undefined>
  labDispatcher(lab: Handle, given: DispatcherGiven): Outcome<Handle>
  labConsumer(lab: Handle, name: string): Promise<Outcome<Handle>>
  consumerUrl(consumer: Handle): string
  consumerPin(consumer: Handle): string
  consumerConnections(consumer: Handle): number
  consumerReceived(consumer: Handle): Received[]
  consumerWait(consumer: Handle, count: number, withinMs: number): Promise<Outcome<boolean>>
  consumerRespond(consumer: Handle, status: number, retryAfter: number | undefined, times: number): void
  consumerMisbehave(consumer: Handle, how: string, times: number): Outcome<undefined>
  consumerRenew(consumer: Handle, newKey: boolean): Outcome<undefined>
  testingError(kind: string): Outcome<string>
  testingPanic(): Outcome<undefined>
}

function load(): Addon {
  const file = `webhook-mtls.${process.platform}-${process.arch}.node`
  const path = join(__dirname, '..', 'native', file)
  try {
    return require(path) as Addon
  } catch (cause) {
    const why = existsSync(path)
      ? 'it is there, but this Node.js or this system cannot load it'
      : 'this package was built without it: build it on this platform'
    throw new Error(`webhook-mtls: the native part ${path} did not load: ${why}`, { cause })
  }
}

/** The addon. */
export const native: Addon = load()
