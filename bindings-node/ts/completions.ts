// Dispatches completions to their callers by ticket. The addon reports all finished deliveries in
// one call.

import { native, type Handle } from './native'
import { Receipt } from './receipt'
import { TicketTable } from './tickets'

/**
 * @internal A receipt without its names, or the JSON text of an error; null if a run has progressed.
 */
export type Completion = Receipt | string | null

/** @internal A completion and its ticket. */
export interface Entry {
  readonly ticket: number
  readonly completion: Completion
}

/**
 * The rows that the addon writes: the ticket; a receipt's status or one of the codes below; the
 * receipt's index in its page; its attempts, duration, pin, and whether the body was held.
 */
const WIDTH = 7
const buffer = new Float64Array(WIDTH * 64)
const ERROR = 0
const RUN_READY = -1

/** The page of the receipts in the buffer. A receipt with index 0 begins a new page. */
let page: Handle

/** Bun and Deno imitate Node, but not the event loop that it offers to addons. */
const HAS_LIBUV = !('bun' in process.versions || 'deno' in process.versions)

type Receiver = (completion: Receipt | string) => void

const receivers = new TicketTable<Receiver>()
const watchers = new Map<number, () => void>()
let isAttached = false
let lastWatchTicket = 0

/** @internal Registers a receiver for one receipt or error, and returns its ticket. */
export function expect(receiver: Receiver): number {
  attach()
  return receivers.insert(receiver)
}

/** @internal Returns the ticket under which a run reports progress. */
export function watchTicket(): number {
  attach()
  return ++lastWatchTicket
}

/** @internal Registers a callback for the next progress of a run. */
export function watch(ticket: number, watcher: () => void): void {
  watchers.set(ticket, watcher)
}

/** @internal Removes the callback of a {@link watchTicket}. */
export function unwatch(ticket: number): void {
  watchers.delete(ticket)
}

function attach(): void {
  // On first use: attaching starts threads.
  if (isAttached) return
  native.attach(buffer, settle, HAS_LIBUV)
  isAttached = true
}

/**
 * @internal Reads `count` rows of the buffer. Read all before any receiver is called: a receiver
 * can make the addon write new rows.
 */
export function read(count: number): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < WIDTH * count; at += WIDTH) {
    entries.push({ ticket: buffer[at] as number, completion: completionOf(at) })
  }
  return entries
}

function completionOf(at: number): Completion {
  const [status, index] = [buffer[at + 1] as number, buffer[at + 2] as number]
  if (status === RUN_READY) return null
  if (status === ERROR) return native.nextAttachment() as string
  if (index === 0) page = native.nextAttachment() as Handle
  const [attempts, elapsedMs] = [buffer[at + 3] as number, buffer[at + 4] as number]
  const [pin, held] = [buffer[at + 5] as number, buffer[at + 6] as number]
  return new Receipt(page, index, { status, attempts, elapsedMs, pin, held })
}

function settle(count: number): void {
  for (const { ticket, completion } of read(count)) {
    if (completion === null) {
      const watcher = watchers.get(ticket)
      watchers.delete(ticket)
      watcher?.()
      continue
    }
    receivers.remove(ticket)?.(completion)
  }
}
