// What callers wrote, checked to be of the right JavaScript type. Whether the value is any good is
// for the core to say, and so is what the message says.

import { types } from 'node:util'

import { errorOf, unknownName, wrongType, wrongWord } from './error'
import { LIMITS, type Sort } from './limits'
import { native, type Settings } from './native'
import { camelCase, snakeCase } from './spelling'

/** Text is taken as UTF-8; bytes as they are. */
export type Body = string | Uint8Array

type Noun = 'dispatcher' | 'endpoint' | 'deliver' | 'probe' | 'verifier' | 'retry_policy'

interface Row {
  place: number
  of: string
  name: string
  kind: string
}

const TABLES = JSON.parse(native.tables()) as { options: Omit<Row, 'place'>[] }
const ROWS: Row[] = TABLES.options.map((row, place) => ({ ...row, place }))

/** By noun, then by the name that it has here. */
const BY_NAME = new Map<string, Map<string, Row>>()
for (const row of ROWS) {
  const names = BY_NAME.get(row.of) ?? new Map<string, Row>()
  BY_NAME.set(row.of, names.set(key(row), row))
}

/** A duration says its unit here, where numbers have none. */
function key(row: Row): string {
  return row.kind === 'duration' ? `${camelCase(row.name)}Ms` : camelCase(row.name)
}

/** @internal An options object, read once: what it held cannot change afterwards. */
export class Options {
  // Made when there is something to keep: most deliveries have no options.
  #values: Map<string, unknown> | undefined
  #settings: Map<string, Settings> | undefined

  /**
   * @param given the caller's object, or undefined for none
   * @param nouns whose options it may hold; of the first that has an option by a name, it is
   * @param others further keys it may hold
   * @param elsewhere keys that it may hold and that are read elsewhere
   */
  constructor(
    given: unknown,
    nouns: readonly Noun[],
    others: readonly string[] = [],
    elsewhere: readonly string[] = [],
  ) {
    if (given === undefined) return
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw wrongType('options', 'an object', given)
    }
    // Not by its entries: to make an array for each costs more than to read it.
    for (const name of Object.keys(given)) {
      if (elsewhere.includes(name)) continue
      const value = (given as Record<string, unknown>)[name]
      if (others.includes(name)) this.#keep(name, value)
      else this.#take(name, value, nouns)
    }
  }

  /** The value of a key that is no setting; undefined if it was not given. */
  value(name: string): unknown {
    return this.#values?.get(name)
  }

  /** The value of a key, if it was given, as a reader of this file takes it. */
  optional<T>(name: string, read: (option: string, value: unknown) => T): T | undefined {
    const value = this.#values?.get(name)
    return value === undefined ? undefined : read(snakeCase(name), value)
  }

  /** What is passed on to the core by name, if anything is. */
  settings(noun: Noun): Settings | undefined {
    return this.#settings?.get(noun)
  }

  #keep(name: string, value: unknown): void {
    this.#values ??= new Map()
    this.#values.set(name, value)
  }

  #take(name: string, value: unknown, nouns: readonly Noun[]): void {
    const holder = nouns.find((noun) => BY_NAME.get(noun)?.has(name))
    const row = holder && BY_NAME.get(holder)?.get(name)
    if (row) {
      if (value === undefined) return
      const setting = settingOf(row, value)
      if (setting === undefined) this.#keep(name, value)
      else this.#pass(row.of, row.place, setting)
      return
    }
    const candidates = nouns.flatMap((noun) => ROWS.filter((row) => row.of === noun))
    const meant = candidates.find((candidate) => candidate.name === snakeCase(name))
    if (meant) throw wrongWord(meant.name, `spelled ${key(meant)}`, name)
    const [noun] = nouns
    if (noun === undefined) throw unknownName(name, 'an option of this call')
    // The core knows no such option either, and says which there are.
    this.#pass(noun, snakeCase(text('options', name)), '')
  }

  #pass(noun: string, place: number | string, setting: Settings[number]): void {
    this.#settings ??= new Map()
    const settings = this.#settings.get(noun)
    if (settings) settings.push(place, setting)
    else this.#settings.set(noun, [place, setting])
  }
}

/** Undefined for an option whose value is a noun of its own. */
function settingOf({ name, kind }: Row, value: unknown): Settings[number] | undefined {
  switch (kind) {
    case 'duration':
    case 'integer':
    case 'number':
      return number(name, value)
    case 'flag':
      return flag(name, value)
    case 'text':
      return text(name, value)
    case 'texts':
      return texts(name, value)
    case 'pairs':
      return pairs(name, value)
    default:
      return undefined
  }
}

/** @internal */
export function number(option: string, value: unknown): number {
  if (typeof value !== 'number') throw wrongType(option, 'a number', value)
  return value
}

/** @internal */
export function flag(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrongType(option, 'a boolean', value)
  return value
}

/** @internal */
export function text(option: string, value: unknown, sort: Sort = 'text'): string {
  if (typeof value !== 'string') throw wrongType(option, 'a string', value)
  checkLength(sort, option, value)
  // It would become U+FFFD on the way to UTF-8, and nobody would notice.
  if (!value.isWellFormed()) {
    throw wrongWord(option, 'well-formed Unicode', 'a string with a lone surrogate')
  }
  return value
}

/** @internal Any iterable of strings but a string, whose letters nobody means. */
export function texts(option: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    throw wrongType(option, 'an iterable of strings', value)
  }
  const tally = new Tally('text', option)
  const found: string[] = []
  for (const item of value as Iterable<unknown>) found.push(tally.add(text(option, item)))
  return found
}

function pairs(option: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) {
    throw wrongType(option, 'an object of strings', value)
  }
  const tally = new Tally('text', option)
  const pair = (name: string, item: unknown): [string, string] => [
    tally.add(text(option, name)),
    text(option, item),
  ]
  return Object.entries(value).map(([name, item]) => pair(name, item))
}

/** @internal Bytes to be sent. */
export function body(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'body')
}

/** @internal PEM, DER or PKCS#12. */
export function material(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'material')
}

/** @internal The certificates of a peer. */
export function chain(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'chain')
}

/**
 * The bytes of a value. Call it last before the core takes them: what other code runs in between
 * could change or detach them.
 */
function bytes(option: string, value: unknown, sort: Sort): Uint8Array {
  if (typeof value === 'string') return Buffer.from(text(option, value, sort), 'utf8')
  if (!types.isUint8Array(value)) throw wrongType(option, 'a string or a Uint8Array', value)
  const length = lengthOf.call(value) as number
  if (length === 0 && !isWithinItsBuffer(value)) {
    throw wrongWord(option, 'bytes that are there', 'a view that is detached or out of bounds')
  }
  if (length > LIMITS[sort]) throw tooLong(sort, option, length)
  // Another thread could change shared memory while the core reads it.
  return types.isSharedArrayBuffer(value.buffer) ? new Uint8Array(value) : value
}

// Its own, which no subclass hides.
const lengthOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  'length',
)?.get as () => unknown

/** A view whose buffer was transferred, or shrank, has the length 0 and nothing else to know it by. */
function isWithinItsBuffer(view: Uint8Array): boolean {
  try {
    // Each method of the prototype looks first.
    Uint8Array.prototype.keys.call(view)
    return true
  } catch {
    return false
  }
}

/** Refuses a string that is too long as UTF-8, before anything is made of it. */
function checkLength(sort: Sort, option: string, value: string): void {
  // A unit of UTF-16 takes from one to three bytes.
  const [units, most] = [value.length, LIMITS[sort]]
  if (3 * units <= most) return
  const length = units > most ? units : Buffer.byteLength(value, 'utf8')
  if (length > most) throw tooLong(sort, option, length)
}

function tooLong(sort: Sort, option: string, length: number): Error {
  return errorOf(native.tooLong(sort, option, length) as string)
}

/** What an iterable has given so far: it may have no end. */
class Tally {
  readonly #sort: Sort
  readonly #option: string
  #entries = 0
  #length = 0

  constructor(sort: Sort, option: string) {
    this.#sort = sort
    this.#option = option
  }

  /** Counts an entry and returns it. */
  add<T extends string | Uint8Array>(entry: T): T {
    this.#entries += 1
    this.#length += entry.length
    if (this.#entries > LIMITS.entries || this.#length > LIMITS.list) {
      const given = [this.#entries, this.#length] as const
      throw errorOf(native.tooMany(this.#sort, this.#option, ...given) as string)
    }
    return entry
  }
}

/** @internal Several of an array, each as `read` takes it. */
export function several(
  sort: Sort,
  option: string,
  value: readonly unknown[],
  read: (option: string, value: unknown) => Uint8Array,
): Uint8Array[] {
  const tally = new Tally(sort, option)
  return value.map((item) => tally.add(read(option, item)))
}
