// The channels of `diagnostics_channel`. Without a subscriber, a delivery pays for one look.

import { channel } from 'node:diagnostics_channel'

import type { DeliveryBegin, DeliveryRecord, LogRecord } from './telemetry'

const begin = channel('webhook-mtls:delivery:start')
const end = channel('webhook-mtls:delivery:end')
const log = channel('webhook-mtls:log')

/** @internal */
export function hasSubscribers(): boolean {
  return end.hasSubscribers || log.hasSubscribers || begin.hasSubscribers
}

/** @internal */
export function hasLogSubscribers(): boolean {
  return log.hasSubscribers
}

/** @internal */
export function publishBegin(delivery: DeliveryBegin): void {
  begin.publish(delivery)
}

/** @internal */
export function publishEnd(record: DeliveryRecord): void {
  end.publish(record)
}

/** @internal */
export function publishLog(record: LogRecord): void {
  log.publish(record)
}
