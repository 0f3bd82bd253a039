// Checks the JavaScript types of arguments. The core validates the values and writes the messages.

import { types } from 'node:util'

import { errorOf, unknownName, wrongItem, wrongType, wrongValue, wrongValueOf } from './error'
import { LIMITS, type Sort } from './limits'
import { native, type Settings } from './native'
import { camelCase, snakeCase } from './spelling'

/** Text, which is encoded as UTF-8, or bytes. */
export type Body = string | Uint8Array

type Target =
  | 'dispatcher'
  | 'endpoint'
  | 'deliver'
  | 'probe'
  | 'diagnosis'
  | 'verifier'
  | 'retry_policy'
  | 'jwt_bearer'
  | 'webhook_verifier'

interface OptionSpec {
  index: number
  of: string
  name: string
  kind: string
}

const TABLES = JSON.parse(native.tables()) as { options: Omit<OptionSpec, 'index'>[] }
const SPECS: OptionSpec[] = TABLES.options.map((spec, index) => ({ ...spec, index }))

/** By target, then by JavaScript name. */
const BY_NAME = new Map<string, Map<string, OptionSpec>>()
for (const spec of SPECS) {
  const names = BY_NAME.get(spec.of) ?? new Map<string, OptionSpec>()
  BY_NAME.set(spec.of, names.set(key(spec), spec))
}

const ID = SPECS.findIndex((spec) => spec.of === 'deliver' && spec.name === 'id')

/** Returns an option's JavaScript name. The name of a duration has its unit as a suffix. */
function key(spec: OptionSpec): string {
  return spec.kind === 'duration' ? `${camelCase(spec.name)}Ms` : camelCase(spec.name)
}

/** @internal A snapshot of an options object. Each property is read once. */
export class Options {
  // Created on demand: most deliveries have no options.
  #values: Map<string, unknown> | undefined
  #settings: Map<string, Settings> | undefined

  /**
   * @param object the caller's object; undefined for no options
   * @param targets the types whose options it may have; the first that has a name receives its
   * value
   * @param others other keys that it may have
   * @param ignored keys that it may have, but that the caller reads itself
   */
  constructor(
    object: unknown,
    targets: readonly Target[],
    others: readonly string[] = [],
    ignored: readonly string[] = [],
  ) {
    if (object === undefined) return
    if (typeof object !== 'object' || object === null || Array.isArray(object)) {
      throw wrongType('options', 'an object', object)
    }
    // Without Object.entries, which allocates an array for each property.
    for (const name of Object.keys(object)) {
      if (ignored.includes(name)) continue
      const value = (object as Record<string, unknown>)[name]
      if (others.includes(name)) this.#keep(name, value)
      else this.#add(name, value, targets)
    }
  }

  /** Returns the value of a key that is not a setting; undefined if it is absent. */
  value(name: string): unknown {
    return this.#values?.get(name)
  }

  /** Returns the value of a key, converted with `read`; undefined if it is absent. */
  optional<T>(name: string, read: (option: string, value: unknown) => T): T | undefined {
    const value = this.#values?.get(name)
    return value === undefined ? undefined : read(snakeCase(name), value)
  }

  /** Returns the settings of a target for the core, if there are any. */
  settings(target: Target): Settings | undefined {
    return this.#settings?.get(target)
  }

  /** The `id` of a delivery; undefined if it has none. */
  get id(): string | undefined {
    const settings = this.#settings?.get('deliver') ?? []
    // Pairs: a value may equal the index.
    for (let at = 0; at < settings.length; at += 2) {
      if (settings[at] === ID) return settings[at + 1] as string
    }
    return undefined
  }

  #keep(name: string, value: unknown): void {
    this.#values ??= new Map()
    this.#values.set(name, value)
  }

  #add(name: string, value: unknown, targets: readonly Target[]): void {
    const owner = targets.find((target) => BY_NAME.get(target)?.has(name))
    const spec = owner && BY_NAME.get(owner)?.get(name)
    if (spec) {
      if (value === undefined) return
      const setting = settingOf(spec, value)
      if (setting === undefined) this.#keep(name, value)
      else this.#addSetting(spec.of, spec.index, setting)
      return
    }
    const candidates = targets.flatMap((target) => SPECS.filter((spec) => spec.of === target))
    const similar = candidates.find((candidate) => candidate.name === snakeCase(name))
    if (similar) throw wrongValue(similar.name, `spelled ${key(similar)}`, name)
    const [target] = targets
    if (target === undefined) throw unknownName(name, 'an option of this call')
    // The core refuses the unknown name with an error that lists the known ones.
    this.#addSetting(target, snakeCase(text('options', name)), '')
  }

  #addSetting(target: string, index: number | string, setting: Settings[number]): void {
    this.#settings ??= new Map()
    const settings = this.#settings.get(target)
    if (settings) settings.push(index, setting)
    else this.#settings.set(target, [index, setting])
  }
}

/** Returns undefined for an option whose value is an object of the core. */
function settingOf({ name, kind }: OptionSpec, value: unknown): Settings[number] | undefined {
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
    case 'json':
      return jsonText(name, value)
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
export function wholeNumber(option: string, value: unknown): number {
  const checked = number(option, value)
  if (Number.isInteger(checked) && checked >= 0 && checked <= 0xffff_ffff) return checked
  throw wrongType(option, 'a whole number', value)
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
  // The conversion to UTF-8 would silently replace a lone surrogate with U+FFFD.
  if (!value.isWellFormed()) {
    throw wrongValue(option, 'well-formed Unicode', 'a string with a lone surrogate')
  }
  return value
}

/**
 * @internal Accepts any iterable of strings, but not a string, which iterates over its characters.
 */
export function texts(option: string, value: unknown, sort: Sort = 'text'): string[] {
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    throw wrongType(option, 'an iterable of strings', value)
  }
  const tally = new SizeTally(sort, option)
  const found: string[] = []
  for (const item of value as Iterable<unknown>) {
    if (typeof item !== 'string') throw wrongItem(option, found.length + 1, item)
    found.push(tally.add(text(option, item, sort)))
  }
  return found
}

function pairs(option: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) {
    throw wrongType(option, 'an object of strings', value)
  }
  const tally = new SizeTally('text', option)
  const pair = (name: string, item: unknown): [string, string] => {
    if (typeof item !== 'string') throw wrongValueOf(option, name, item)
    return [tally.add(text(option, name)), text(option, item)]
  }
  return Object.entries(value).map(([name, item]) => pair(name, item))
}

/** @internal Returns the JSON text of an object. */
export function jsonText(option: string, value: unknown, sort: Sort = 'text'): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(option, 'an object of JSON values', value)
  }
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch {
    // A cycle or a BigInt.
  }
  return text(option, json ?? '', sort)
}

/**
 * @internal Reads the headers of a request: pairs, a flat array as `rawHeaders` has, or an object as
 * `headers` has.
 */
export function headerPairs(option: string, value: unknown): [string, string][] {
  const tally = new SizeTally('text', option)
  const found: [string, string][] = []
  const add = (name: unknown, item: unknown): void => {
    if (typeof name !== 'string' || typeof item !== 'string') {
      throw wrongType(option, 'names and values that are strings', item)
    }
    found.push([tally.add(name.toWellFormed()), tally.add(item.toWellFormed())])
  }
  if (typeof value !== 'object' || value === null) {
    throw wrongType(option, 'rawHeaders, pairs, or an object of headers', value)
  }
  if (!(Symbol.iterator in value)) {
    for (const [name, item] of Object.entries(value)) {
      // An absent header of IncomingHttpHeaders is undefined, and a repeated one is an array.
      if (item === undefined) continue
      for (const one of Array.isArray(item) ? (item as unknown[]) : [item]) add(name, one)
    }
    return found
  }
  let name: string | undefined
  for (const item of value as Iterable<unknown>) {
    if (Array.isArray(item)) add(item[0], item[1])
    else if (name === undefined && typeof item === 'string') name = item
    else {
      add(name, item)
      name = undefined
    }
  }
  if (name !== undefined) throw wrongValue(option, 'a value for each name', 'a name alone')
  return found
}

/** @internal Returns the bytes of a webhook body. */
export function body(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'body')
}

/** @internal Returns the bytes of PEM, DER or PKCS#12. */
export function material(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'material')
}

/** @internal Returns the bytes of a text or DER with CRLs. */
export function crlText(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'crls')
}

/** @internal Returns the bytes of a peer's certificate chain. */
export function chain(option: string, value: unknown): Uint8Array {
  return bytes(option, value, 'chain')
}

/**
 * Returns the bytes of a value. Call this right before the core copies them, because JavaScript
 * that runs in between could change or detach them.
 */
function bytes(option: string, value: unknown, sort: Sort): Uint8Array {
  if (typeof value === 'string') return Buffer.from(text(option, value, sort), 'utf8')
  if (!types.isUint8Array(value)) throw wrongType(option, 'a string or a Uint8Array', value)
  const length = lengthOf.call(value) as number
  if (length === 0 && !isWithinItsBuffer(value)) {
    throw wrongValue(option, 'an attached buffer', 'a view that is detached or out of bounds')
  }
  if (length > LIMITS[sort]) throw tooLong(sort, option, length)
  // Another thread could change shared memory while the core reads it.
  return types.isSharedArrayBuffer(value.buffer) ? new Uint8Array(value) : value
}

// The getter of the prototype, because a subclass could override `length`.
const lengthOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  'length',
)?.get as () => unknown

/**
 * Returns whether a view lies within its buffer. A view whose buffer was transferred or has shrunk
 * has the length 0, like an empty one.
 */
function isWithinItsBuffer(view: Uint8Array): boolean {
  try {
    // Each method of the prototype throws for a view that is out of bounds.
    Uint8Array.prototype.keys.call(view)
    return true
  } catch {
    return false
  }
}

/** Refuses a string that is too long as UTF-8, before it is converted. */
function checkLength(sort: Sort, option: string, value: string): void {
  // A UTF-16 code unit takes one to three bytes of UTF-8.
  const [units, limit] = [value.length, LIMITS[sort]]
  if (3 * units <= limit) return
  const length = units > limit ? units : Buffer.byteLength(value, 'utf8')
  if (length > limit) throw tooLong(sort, option, length)
}

function tooLong(sort: Sort, option: string, length: number): Error {
  return errorOf(native.tooLong(sort, option, length) as string)
}

/**
 * Counts the entries and the length of an iterable, which may be endless, and enforces the limits.
 */
class SizeTally {
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
      const size = [this.#entries, this.#length] as const
      throw errorOf(native.tooMany(this.#sort, this.#option, ...size) as string)
    }
    return entry
  }
}

/** @internal Converts each item of an array with `read`, within the limits of a list. */
export function several(
  sort: Sort,
  option: string,
  value: readonly unknown[],
  read: (option: string, value: unknown) => Uint8Array,
): Uint8Array[] {
  const tally = new SizeTally(sort, option)
  return value.map((item) => tally.add(read(option, item)))
}
