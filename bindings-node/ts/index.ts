// Delivers webhooks over mutual TLS to consumers of a private CA, and verifies the peer at the
// other end of a connection.

// First: it loads the addon, and tells what to do on a runtime that cannot run the other files.
import './native'

export { deliver, Dispatcher } from './dispatcher'
export { WebhookMtlsError } from './error'
export { merge } from './fleet'
export { Hop } from './forwarded'
export { Identity } from './identity'
export { metricsContentType } from './metrics'
export { pinOf, Pins } from './pins'
export { Probe } from './probe'
export { Report } from './report'
export { RetryPolicy } from './retry'
export { JwtBearer, StandardWebhooks } from './signing'
export { Trust } from './trust'
export { Authorization, rememberSignatures, TenantRule, Verifier, verifyPeer } from './verifier'
export { JwtKeys, WebhookVerifier } from './webhook'

export type {
  DeliverOptions,
  DiagnosisOptions,
  DispatcherOptions,
  OneShotOptions,
  ProbeOptions,
} from './dispatcher'
export type { Egress, EgressPreset } from './egress'
export type { Endpoint, EndpointOptions, EndpointStatus } from './endpoint'
export type { HttpResponse } from './error'
export type { Event, EventListener, Expiry } from './event'
export type { FleetConsumer, FleetExpiry, FleetIdentity, FleetStatus, ProcessStatus } from './fleet'
export type { ForwardedOptions } from './forwarded'
export type { Body } from './options'
export type { IdentityOptions } from './identity'
export type { Sign, SignerOptions } from './signer'
export type { DeliverManyOptions, Delivery, Outcome, Outcomes, Progress } from './many'
export type { Metric, Metrics, MetricSample, MetricsTextOptions } from './metrics'
export type { PeerIdentity } from './peer'
export type { Receipt, Timings, TlsFacts } from './receipt'
export type { CheckResult, Finding, Verdict } from './report'
export type { ConsumerRotation, RotationStatus } from './rotation'
export type { Decision, RetryPolicyOptions } from './retry'
export type {
  AttemptRecord,
  DeliveryBegin,
  DeliveryRecord,
  EndClasses,
  HandshakeRecord,
  LogRecord,
} from './telemetry'
export type { TrustFiles, TrustTexts } from './trust'
export type { SocketOptions, VerifierOptions, VerifyOptions } from './verifier'
export type { JwtBearerOptions, Signing } from './signing'
export type {
  ReplayKey,
  RequestHeaders,
  VerifiedWebhook,
  WebhookVerifierOptions,
} from './webhook'
export type {
  Action,
  Addressee,
  Blame,
  CheckGroup,
  CheckStatus,
  CrlPolicy,
  DiagnosisRequest,
  Dialect,
  Evidence,
  Kind,
  KnownKind,
  MetricsFormat,
  MinTls,
  Note,
  SignatureScheme,
  PinSlot,
  Retry,
  Role,
  Scope,
  Sent,
  Stage,
} from './enums'
