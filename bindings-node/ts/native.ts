// Loads the addon, and says what it offers. The addon takes what this layer has checked and returns
// `{ value }` or `{ error }`, the error as JSON text.

import { join } from 'node:path'

/** A noun of the core. Opaque here; the addon knows its type. */
export type Handle = { readonly handle: unique symbol }

/** What the addon returns where it can fail. */
export interface Outcome<T> {
  value?: T
  error?: string
}

/**
 * Options: of each its place in the core's table, or its snake_case name where it stands in none, and
 * then its value.
 */
export type Settings = (number | string | boolean | string[] | [string, string][])[]

type Optional<T> = T | undefined

export interface DispatcherGiven {
  identity: Optional<Handle>
  trust: Optional<Handle>
  egress: Optional<Handle>
  settings: Optional<Settings>
}

export interface EndpointGiven {
  pinsSaid: boolean
  pins: Optional<Handle>
  identity: Optional<Handle>
  trust: Optional<Handle>
  signing: Optional<Handle>
  settings: Optional<Settings>
}

export interface VerifierGiven {
  role: string
  trust: Handle
  pins: Optional<Handle>
  tenant: Optional<Handle>
  authorization: Optional<Handle>
  settings: Optional<Settings>
}

export interface HandshakeGiven {
  complete: boolean
  weAreTheServer: boolean
  chain: Uint8Array[]
  serverName: Optional<string>
}

export interface ReceivedRequest {
  id?: string
  method: string
  path: string
  headers: [string, string][]
  body: Buffer
  tenant?: string
}

interface Native {
  tables(): string
  wrongType(option: string, expected: string, seen: string): string
  unknownName(name: string, expected: string): string
  tooLong(sort: string, argument: string, length: number): string | null
  tooMany(sort: string, argument: string, entries: number, bytes: number): string | null
  errorFromJson(text: string): Outcome<string>
  errorPublic(text: string): Outcome<string>
  retryPolicy(settings: Optional<Settings>): Outcome<Handle>
  retryDecide(policy: Handle, error: string, attempt: number): Outcome<string>

  identityFromFiles(cert: string, key: string, passphrase: Optional<string>): Outcome<Handle>
  identityFromPem(cert: Uint8Array, key: Uint8Array, passphrase: Optional<string>): Outcome<Handle>
  identityFromPkcs12(data: Uint8Array, passphrase: string): Outcome<Handle>
  trustFromFiles(
    anchors: string,
    intermediates: Optional<string>,
    crls: Optional<string>,
    distrusted: string[],
  ): Outcome<Handle>
  trustFromPem(
    anchors: Uint8Array,
    intermediates: Optional<Uint8Array>,
    crls: Uint8Array[],
    distrusted: string[],
  ): Outcome<Handle>
  trustDangerousPublic(
    anchors: Uint8Array,
    intermediates: Optional<Uint8Array>,
    crls: Uint8Array[],
    distrusted: string[],
  ): Outcome<Handle>
  trustNotes(trust: Handle): string[]
  pins(current: string[], next: string[]): Outcome<Handle>
  pinsFromFile(path: string): Outcome<Handle>
  pinOf(certificate: Uint8Array): Outcome<string>
  standardWebhooks(secrets: string[]): Outcome<Handle>
  egress(preset: string, allow: string[], deny: string[], nat64: string[]): Outcome<Handle>

  dispatcher(given: DispatcherGiven): Outcome<Handle>
  dispatcherEndpoint(
    dispatcher: Handle,
    consumer: string,
    url: string,
    given: EndpointGiven,
  ): Outcome<Handle>
  dispatcherRemove(dispatcher: Handle, consumer: string): Outcome<boolean>
  dispatcherClose(dispatcher: Handle, drainMs: number): Promise<Outcome<void>>
  attach(ledger: Float64Array, settle: (count: number) => void): void
  brought(): Handle | string | null
  dispatcherDeliver(
    dispatcher: Handle,
    endpoint: Handle,
    body: Uint8Array,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
    number: number,
  ): string | null
  receiptJson(page: Handle, place: number): Outcome<string>
  run(dispatcher: Handle, concurrency: Optional<number>, number: number): Outcome<Handle>
  runHasRoom(run: Handle): boolean
  runSubmit(
    run: Handle,
    endpoint: Handle,
    body: Uint8Array,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
    ticket: number,
  ): boolean | string
  runTake(run: Handle): number
  runWait(run: Handle): boolean
  runCancel(run: Handle): void
  runProgress(run: Handle): { done: number; failed: number; inFlight: number; waiting: number }
  deliverOnce(
    url: string,
    body: Uint8Array,
    dispatcher: DispatcherGiven,
    endpoint: EndpointGiven,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
  ): Promise<Outcome<Handle>>
  dispatcherProbe(
    dispatcher: Handle,
    endpoint: Handle,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
  ): Promise<Outcome<string>>
  dispatcherOnEvent(dispatcher: Handle, listener: (json: string) => void): Outcome<void>
  dispatcherReload(dispatcher: Handle): Promise<Outcome<string>>
  dispatcherExpiries(dispatcher: Handle): Outcome<string>
  dispatcherRotationStatus(dispatcher: Handle): Outcome<string>
  dispatcherRetire(dispatcher: Handle, identity: Handle, force: boolean): Outcome<string[]>
  verifierOnEvent(verifier: Handle, listener: (json: string) => void): Outcome<void>
  verifierReload(verifier: Handle): Outcome<string>
  verifierExpiries(verifier: Handle): Outcome<string>
  endpointConsumer(endpoint: Handle): string
  endpointUrl(endpoint: Handle): string
  endpointIs(endpoint: Handle, other: Handle): boolean
  endpointStatus(endpoint: Handle): Outcome<string>
  cancelToken(): Handle
  cancel(token: Handle): void

  tenantSanUri(template: string): Outcome<Handle>
  tenantSanDnsSuffix(suffix: string): Outcome<Handle>
  tenantSubjectCn(): Handle
  authorizationSanUris(uris: string[]): Outcome<Handle>
  authorizationTrustDomain(domain: string): Outcome<Handle>
  authorizationCaMembers(): Handle
  verifier(given: VerifierGiven): Outcome<Handle>
  verify(
    verifier: Handle,
    chain: Uint8Array,
    serverName: Optional<string>,
    atMs: Optional<number>,
  ): Outcome<string>
  verifyChain(
    verifier: Handle,
    chain: Uint8Array[],
    serverName: Optional<string>,
    atMs: Optional<number>,
  ): Outcome<string>
  verifyHandshake(verifier: Handle, given: HandshakeGiven): Outcome<string>
  rememberSignatures(enabled: boolean): void

  labStart(): Promise<Outcome<Handle>>
  labClose(lab: Handle): Promise<Outcome<void>>
  labIdentity(lab: Handle): Outcome<Handle>
  labTrust(lab: Handle): Outcome<Handle>
  labPem(lab: Handle): Outcome<[chain: string, key: string, root: string]>
  labWriteFiles(lab: Handle, directory: string): Outcome<void>
  labDispatcher(lab: Handle, given: DispatcherGiven): Outcome<Handle>
  labConsumer(lab: Handle, name: string): Promise<Outcome<Handle>>
  consumerUrl(consumer: Handle): string
  consumerPin(consumer: Handle): string
  consumerConnections(consumer: Handle): number
  consumerReceived(consumer: Handle): ReceivedRequest[]
  consumerWait(consumer: Handle, count: number, withinMs: number): Promise<Outcome<boolean>>
  consumerRespond(
    consumer: Handle,
    status: number,
    retryAfter: Optional<number>,
    times: number,
  ): void
  consumerMisbehave(consumer: Handle, how: string, times: number): Outcome<void>
  consumerRenew(consumer: Handle, newKey: boolean): Outcome<void>
  consumerIssued(consumer: Handle): Handle
  consumerShow(consumer: Handle, issued: Handle): void
  consumerCertify(consumer: Handle, authority: Handle): Outcome<void>
  consumerAccept(consumer: Handle, authority: Handle): void
  consumerAcceptOnly(consumer: Handle, authority: Handle): void
  labAuthority(lab: Handle): Outcome<Handle>
  authority(name: string): Outcome<Handle>
  authorityPem(authority: Handle): [root: string, intermediate: string]
  authorityIssue(
    authority: Handle,
    tenant: string,
    server: boolean,
    notBeforeMs: Optional<number>,
    notAfterMs: Optional<number>,
  ): Outcome<Handle>
  authorityCrl(authority: Handle, revoked: Handle[]): Outcome<string>
  issuedPem(issued: Handle): [chain: string, key: string, pin: string]
  setClock(atMs: Optional<number>): Outcome<void>
  signaturesChecked(): number
  testingError(kind: string): Outcome<string>
}

export const native: Native = load()

function load(): Native {
  const platform = `${process.platform}-${process.arch}`
  const path = join(__dirname, '..', 'native', `webhook-mtls.${platform}.node`)
  try {
    return require(path) as Native
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)
    throw new Error(
      `The native part of webhook-mtls did not load on ${platform} with Node ${process.version}. ` +
        `Tried ${path}: ${reason}. ` +
        'Install a package that was built for this platform, or build one from source.',
      { cause },
    )
  }
}
