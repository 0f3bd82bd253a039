// Declares the functions of the addon of the testing kit. A handle of this addon is invalid in the
// addon of production, and the other way around.

import { load } from './loader'
import { native, type CallResult, type Handle } from './native'

type Optional<T> = T | undefined

export interface ReceivedRequest {
  id?: string
  method: string
  path: string
  headers: [string, string][]
  body: Buffer
  tenant?: string
  serverName?: string
}

interface Kit {
  spellForNode(): void
  labStart(): Promise<CallResult<Handle>>
  labClose(lab: Handle): Promise<CallResult<void>>
  labPem(lab: Handle): CallResult<[chain: string, key: string, root: string]>
  labWriteFiles(lab: Handle, directory: string): CallResult<void>
  labNetworks(): string[]
  labConsumer(lab: Handle, name: string): Promise<CallResult<Handle>>
  consumerUrl(consumer: Handle): string
  consumerPin(consumer: Handle): string
  consumerConnections(consumer: Handle): number
  consumerReceived(consumer: Handle): ReceivedRequest[]
  consumerWait(consumer: Handle, count: number, withinMs: number): Promise<CallResult<boolean>>
  consumerRespond(
    consumer: Handle,
    status: number,
    retryAfter: Optional<number>,
    times: number,
  ): void
  consumerMisbehave(consumer: Handle, how: string, times: number): CallResult<void>
  consumerBehave(consumer: Handle): void
  consumerRenew(consumer: Handle, newKey: boolean): CallResult<void>
  consumerIssued(consumer: Handle): Handle
  consumerShow(consumer: Handle, issued: Handle): void
  consumerCertify(consumer: Handle, authority: Handle): CallResult<void>
  consumerAccept(consumer: Handle, authority: Handle): void
  consumerAcceptOnly(consumer: Handle, authority: Handle): void
  labAuthority(lab: Handle): CallResult<Handle>
  authority(name: string, keyType: Optional<string>): CallResult<Handle>
  authorityPem(authority: Handle): [root: string, intermediate: string]
  authorityIssue(
    authority: Handle,
    tenant: string,
    server: boolean,
    notBeforeMs: Optional<number>,
    notAfterMs: Optional<number>,
  ): CallResult<Handle>
  authorityCrl(authority: Handle, revoked: Handle[]): CallResult<string>
  issuedPem(issued: Handle): [chain: string, key: string, pin: string]
  issuedForwarded(
    issued: Handle,
    dialect: string,
    forgery: Optional<string>,
  ): CallResult<string[]>
  labNginx(lab: Handle, application: string): Promise<CallResult<Handle>>
  nginxFacts(nginx: Handle): [url: string, pin: string]
  nginxClose(nginx: Handle): Promise<CallResult<void>>
  testingError(kind: string): CallResult<string>
}

// An addon that was built from source may have both.
export const kit: Kit = has(native) ? native : load<Kit>('webhook-mtls-testing')
kit.spellForNode()

function has(addon: object): addon is Kit {
  return 'labStart' in addon
}
