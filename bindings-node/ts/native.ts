// Declares the functions of the addon. The addon takes values that this layer has checked, and
// returns `{ value }` or `{ error }`, the error as JSON text.

import { load } from './loader'

/** An object of the core. Opaque here; the addon knows its type. */
export type Handle = { readonly handle: unique symbol }

/** The result of a function of the addon that can fail. */
export interface CallResult<T> {
  value?: T
  error?: string
}

/**
 * Options as pairs: the index in the core's table, or the snake_case name if the table lacks it,
 * and then the value.
 */
export type Settings = (number | string | boolean | string[] | [string, string][])[]

type Optional<T> = T | undefined

export interface DispatcherArguments {
  identity: Optional<Handle>
  trust: Optional<Handle>
  egress: Optional<Handle>
  settings: Optional<Settings>
}

export interface EndpointArguments {
  pinsAreSet: boolean
  pins: Optional<Handle>
  identity: Optional<Handle>
  trust: Optional<Handle>
  signing: Optional<Handle>
  jwtBearer: Optional<Handle>
  settings: Optional<Settings>
}

export interface VerifierArguments {
  role: string
  trust: Handle
  pins: Optional<Handle>
  tenant: Optional<Handle>
  authorization: Optional<Handle>
  settings: Optional<Settings>
}

export interface WebhookVerifierArguments {
  secrets: { tenant: Optional<string>; secrets: string[] }[]
  keys: { tenant: Optional<string>; keys: Handle }[]
  settings: Optional<Settings>
}

export interface HandshakeFacts {
  isComplete: boolean
  isServerSide: boolean
  chain: Uint8Array[]
  isChainWhole: boolean
  serverName: Optional<string>
}

/** Begins one call of a signer, which ends with `signerAnswer`. */
export type NativeSign = (
  call: number,
  scheme: string,
  message: Uint8Array,
  digest: Optional<Uint8Array> | null,
  deadlineMs: number,
) => void

interface Native {
  addonVersion(): string
  /** Runs the command; the addon of the kit lacks it. */
  command(args: string[]): Promise<number>
  tables(): string
  spellForNode(): void
  wrongType(option: string, expected: string, seen: string): string
  wrongItem(option: string, position: number, expected: string, seen: string): string
  wrongValue(option: string, name: string, expected: string, seen: string): string
  unknownName(name: string, expected: string): string
  tooLong(sort: string, argument: string, length: number): string | null
  tooMany(sort: string, argument: string, entries: number, bytes: number): string | null
  errorFromJson(text: string): CallResult<string>
  errorPublic(text: string): CallResult<string>
  retryPolicy(settings: Optional<Settings>): CallResult<Handle>
  retryDecide(policy: Handle, error: string, attempt: number): CallResult<string>

  identityFromFiles(cert: string, key: string, passphrase: Optional<string>): CallResult<Handle>
  identityFromPem(
    cert: Uint8Array,
    key: Uint8Array,
    passphrase: Optional<string>,
  ): CallResult<Handle>
  identityFromPkcs12(data: Uint8Array, passphrase: string): CallResult<Handle>
  identityFromSigner(
    cert: Uint8Array,
    sign: NativeSign,
    concurrency: Optional<number>,
    schemes: string[],
  ): CallResult<Handle>
  identityFromSignerFile(
    cert: string,
    sign: NativeSign,
    concurrency: Optional<number>,
    schemes: string[],
  ): CallResult<Handle>
  signerAnswer(call: number, signature: Optional<Uint8Array>, error: string): void
  identityNotes(identity: Handle): string[]
  trustFromFiles(
    anchors: string,
    intermediates: Optional<string>,
    crls: Optional<string>,
    distrusted: string[],
  ): CallResult<Handle>
  trustFromPem(
    anchors: Uint8Array,
    intermediates: Optional<Uint8Array>,
    crls: Uint8Array[],
    distrusted: string[],
  ): CallResult<Handle>
  trustDangerousPublic(
    anchors: Uint8Array,
    intermediates: Optional<Uint8Array>,
    crls: Uint8Array[],
    distrusted: string[],
  ): CallResult<Handle>
  trustExact(certificate: Uint8Array): CallResult<Handle>
  trustExactFromFile(path: string): CallResult<Handle>
  trustNotes(trust: Handle): string[]
  pins(current: string[], next: string[]): CallResult<Handle>
  pinsFromFile(path: string): CallResult<Handle>
  pinOf(certificate: Uint8Array): CallResult<string>
  standardWebhooks(secrets: string[]): CallResult<Handle>
  jwtBearer(key: Uint8Array, settings: Optional<Settings>): CallResult<Handle>
  jwtBearerFromFile(path: string, settings: Optional<Settings>): CallResult<Handle>
  jwtBearerAlgorithm(token: Handle): string
  jwtBearerPublicJwk(token: Handle): string
  jwtKeys(keys: Uint8Array, keyId: Optional<string>): CallResult<Handle>
  jwtKeysFromFile(path: string, keyId: Optional<string>): CallResult<Handle>
  jwtKeysIds(keys: Handle): string[]
  webhookVerifier(options: WebhookVerifierArguments): CallResult<Handle>
  webhookVerifierOnEvent(verifier: Handle, listener: (json: string) => void): CallResult<void>
  webhookVerifierReload(verifier: Handle): CallResult<string>
  verifyWebhook(
    verifier: Handle,
    tenant: Optional<string>,
    certificate: string,
    headers: [string, string][],
    body: Uint8Array,
    atMs: Optional<number>,
  ): CallResult<string>
  egress(preset: string, allow: string[], deny: string[], nat64: string[]): CallResult<Handle>

  dispatcher(options: DispatcherArguments): CallResult<Handle>
  dispatcherEndpoint(
    dispatcher: Handle,
    consumer: string,
    url: string,
    options: EndpointArguments,
  ): CallResult<Handle>
  dispatcherRemove(dispatcher: Handle, consumer: string): CallResult<boolean>
  dispatcherClose(dispatcher: Handle, drainMs: number): Promise<CallResult<void>>
  attach(buffer: Float64Array, settle: (count: number) => void, hasLibuv: boolean): void
  nextAttachment(): Handle | string | null
  dispatcherDeliver(
    dispatcher: Handle,
    endpoint: Handle,
    body: Uint8Array,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
    ticket: number,
    trace: Optional<Handle>,
  ): string | null
  receiptJson(page: Handle, index: number): CallResult<string>
  run(dispatcher: Handle, concurrency: Optional<number>, ticket: number): CallResult<Handle>
  runHasRoom(run: Handle): boolean
  runSubmit(
    run: Handle,
    endpoint: Handle,
    body: Uint8Array,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
    ticket: number,
    trace: Optional<Handle>,
  ): boolean | string
  runTake(run: Handle): number
  runWait(run: Handle): boolean
  runCancel(run: Handle): void
  runProgress(run: Handle): { done: number; failed: number; inFlight: number; waiting: number }
  deliverOnce(
    url: string,
    body: Uint8Array,
    dispatcher: DispatcherArguments,
    endpoint: EndpointArguments,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
  ): Promise<CallResult<Handle>>
  dispatcherProbe(
    dispatcher: Handle,
    endpoint: Handle,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
  ): Promise<CallResult<string>>
  dispatcherDiagnose(
    dispatcher: Handle,
    endpoint: Handle,
    settings: Optional<Settings>,
    cancel: Optional<Handle>,
  ): Promise<CallResult<string>>
  dispatcherOnEvent(dispatcher: Handle, listener: (json: string) => void): CallResult<void>
  dispatcherOnEventLog(dispatcher: Handle, listener: (json: string) => void): CallResult<void>
  traceQueue(): Handle
  traceRequest(queue: Handle, number: number, headers: [string, string][]): Handle
  traceRecords(queue: Handle): string
  mergedMetrics(dispatchers: Handle[]): CallResult<string>
  dispatcherReload(dispatcher: Handle): Promise<CallResult<string>>
  dispatcherExpiries(dispatcher: Handle): CallResult<string>
  dispatcherMetrics(dispatcher: Handle): CallResult<Handle>
  verifierMetrics(verifier: Handle): CallResult<Handle>
  metricsJson(metrics: Handle): CallResult<string>
  metricsText(metrics: Handle[], format: string): CallResult<string>
  logRecord(text: string): CallResult<string>
  metricsContentType(format: string): CallResult<string>
  dispatcherRotationStatus(dispatcher: Handle): CallResult<string>
  dispatcherProcessStatus(dispatcher: Handle, process: string): CallResult<string>
  merge(statuses: string[]): CallResult<string>
  dispatcherRetire(
    dispatcher: Handle,
    identity: Handle,
    force: boolean,
    fleet: string | undefined,
  ): CallResult<string[]>
  verifierOnEvent(verifier: Handle, listener: (json: string) => void): CallResult<void>
  verifierReload(verifier: Handle): CallResult<string>
  verifierExpiries(verifier: Handle): CallResult<string>
  endpointConsumer(endpoint: Handle): string
  endpointUrl(endpoint: Handle): string
  endpointIs(endpoint: Handle, other: Handle): boolean
  endpointStatus(endpoint: Handle): CallResult<string>
  endpointResetCircuit(endpoint: Handle): void
  endpointOpenCircuit(endpoint: Handle, durationMs: number): CallResult<void>
  cancelToken(): Handle
  cancel(token: Handle): void

  tenantSanUri(template: string): CallResult<Handle>
  tenantSanDnsSuffix(suffix: string): CallResult<Handle>
  tenantSubjectCn(): Handle
  authorizationSanUris(uris: string[]): CallResult<Handle>
  authorizationTrustDomain(domain: string): CallResult<Handle>
  authorizationCaMembers(): Handle
  verifier(options: VerifierArguments): CallResult<Handle>
  verify(
    verifier: Handle,
    chain: Uint8Array,
    serverName: Optional<string>,
    atMs: Optional<number>,
  ): CallResult<string>
  verifyChain(
    verifier: Handle,
    chain: Uint8Array[],
    serverName: Optional<string>,
    atMs: Optional<number>,
  ): CallResult<string>
  verifyHandshake(verifier: Handle, facts: HandshakeFacts): CallResult<string>
  hopAddress(name: string, networks: string[]): CallResult<Handle>
  hopSecret(name: string, header: string, value: string): CallResult<Handle>
  hopCertificate(name: string, pins: Handle): CallResult<Handle>
  hopUnix(name: string): CallResult<Handle>
  checkForwarding(verifier: Handle, dialect: string): CallResult<void>
  countRefusedRequest(verifier: Handle, kind: string): void
  verifyForwarded(
    verifier: Handle,
    lines: string[],
    dialect: string,
    hop: Handle,
    remote: Optional<string>,
    atMs: Optional<number>,
  ): CallResult<string>
  rememberSignatures(enabled: boolean): void

  setClock(atMs: Optional<number>): CallResult<void>
  signaturesChecked(): number
}

export const native: Native = load<Native>('webhook-mtls')
native.spellForNode()
