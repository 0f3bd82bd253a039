// Values on their way to the core: their JavaScript type is checked here, their meaning there.

import { WebhookMtlsError } from './errors.js'
import { native, type Given, type Handle } from './native.js'

/** UTF-8 text or bytes. */
export type Body = string | Uint8Array

const handles = new WeakMap<object, Handle>()

/** Remembers the noun of the core behind an object. */
export function keep(owner: object, handle: Handle): void {
  handles.set(owner, handle)
}

/** The noun behind an object that was made here. */
export function handleOf(owner: object): Handle {
  const handle = handles.get(owner)
  if (handle === undefined) throw wrongType('this', 'an object of this package', seen(owner))
  return handle
}

/** The noun of an argument, which must be an instance of the class. */
export function noun(value: unknown, type: Function, option: string): Handle {
  const handle = value instanceof type ? handles.get(value) : undefined
  if (handle === undefined) throw wrongType(option, `of the class ${type.name}`, seen(value))
  return handle
}

/** The same where the argument may be left out. */
export function optionalNoun(
  value: unknown, type: Function, option: string,
): Handle | undefined {
  return value === undefined || value === null ? undefined : noun(value, type, option)
}

/** The error for a value of the wrong type. */
export function wrongType(option: string, expected: string, was: string): WebhookMtlsError {
  return WebhookMtlsError.of(native.wrongType(option, expected, was))
}

/** What a value is, never what it says. */
export function seen(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name
  return `an object (${typeof name === 'string' && name !== '' ? name : 'without a class'})`
}

/** A string. */
export function text(value: unknown, option: string): string {
  if (typeof value !== 'string') throw wrongType(option, 'a string', seen(value))
  if (!isWellFormed(value)) throw wrongType(option, 'well-formed text', 'a string with a lone surrogate')
  return value
}

/** A string that may be left out. */
export function optionalText(value: unknown, option: string): string | undefined {
  return value === undefined || value === null ? undefined : text(value, option)
}

/** Strings. */
export function texts(value: unknown, option: string): string[] {
  const isList = typeof value === 'object' && value !== null && Symbol.iterator in value
  if (!isList) throw wrongType(option, 'a list of strings', seen(value))
  return Array.from(value as Iterable<unknown>, (item) => text(item, option))
}

/** Bytes; a string is taken as UTF-8. */
export function bytes(value: unknown, option: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return Buffer.from(text(value, option), 'utf8')
  throw wrongType(option, 'a string or Uint8Array', seen(value))
}

/** A plain object of options; left out, it is empty. */
export function options(value: unknown, option: string): Record<string, unknown> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(option, 'an object', seen(value))
  }
  return value as Record<string, unknown>
}

/** Options by their table names; those named in `apart` are handled elsewhere. */
export function settings(given: Record<string, unknown>, apart: readonly string[]): Given[] {
  return Object.entries(given)
    .filter(([key, value]) => value !== undefined && !apart.includes(key))
    .map(([key, value]) => setting(key, value))
}

function setting(key: string, value: unknown): Given {
  if (/.Ms$/.test(key)) {
    const name = snake(key.slice(0, -2))
    if (typeof value !== 'number') throw wrongType(name, 'a number of milliseconds', seen(value))
    return { name, millis: value }
  }
  const name = snake(key)
  switch (typeof value) {
    case 'string': return { name, text: text(value, name) }
    case 'number': return { name, number: value }
    case 'boolean': return { name, flag: value }
  }
  if (Array.isArray(value)) return { name, texts: texts(value, name) }
  if (name === 'headers') return { name, pairs: pairs(options(value, name), name) }
  throw wrongType(name, 'a string, number, boolean or list of strings', seen(value))
}

function pairs(headers: Record<string, unknown>, option: string): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [text(name, option), text(value, option)])
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function isWellFormed(value: string): boolean {
  // Under /u a pair of surrogates is one character, so that only a lone one is of this class.
  return !/\p{Surrogate}/u.test(value)
}
