// Certificates that a proxy forwards in request headers: who may forward them, and the arguments of
// `Verifier.verifyForwarded`.

import { types } from 'node:util'

import { unwrap, wrongItem, wrongType } from './error'
import { native, type Handle } from './native'
import { Options, text, texts } from './options'
import { Pins } from './pins'
import type { Dialect } from './enums'

/** A proxy that is believed when it forwards a client certificate. */
export class Hop {
  readonly #handle: Handle
  /** The name, which the peer and errors show. */
  readonly name: string
  /** How the proxy is recognized. */
  readonly kind: 'address' | 'secret' | 'certificate' | 'unix'

  private constructor(kind: Hop['kind'], name: string, handle: Handle) {
    this.kind = kind
    this.name = name
    this.#handle = handle
  }

  /**
   * Believes the TCP peers with an address in these networks. Everything in them that can reach the
   * application is believed: name the proxies, and not the whole network.
   *
   * @param name 1 to 64 characters of `A-Z a-z 0-9 . _ -`
   * @param networks addresses or CIDRs, at least one; none may contain every address
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static address(name: string, ...networks: string[]): Hop {
    const named = text('name', name)
    return new Hop('address', named, unwrap(native.hopAddress(named, texts('networks', networks))))
  }

  /**
   * Believes requests with a secret in a header, which the proxy sets on every request in place of
   * what a client sends. The secret is compared in constant time.
   *
   * @param name as for {@link address}
   * @param secret `header`: the name of the header: letters, digits and hyphens; `value`: the
   * secret: 16 to 512 printable ASCII characters, which no error shows
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static secret(name: string, secret: { header: string; value: string }): Hop {
    const given = new Options(secret, [], ['header', 'value'])
    const [named, header] = [text('name', name), text('header', given.value('header'))]
    const value = text('value', given.value('value'))
    return new Hop('secret', named, unwrap(native.hopSecret(named, header, value)))
  }

  /**
   * Believes the TLS peers with one of these pins. The application ends the TLS of the proxy,
   * verifies it with {@link Verifier.verifySocket}, and passes its `spkiPin` as `remote`.
   *
   * @param name as for {@link address}
   * @param pins the pins of the proxy
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static certificate(name: string, pins: Pins): Hop {
    const named = text('name', name)
    const handle = unwrap(native.hopCertificate(named, Pins.handle('pins', pins)))
    return new Hop('certificate', named, handle)
  }

  /**
   * Believes the peers of a Unix socket. The permissions of its file must admit only the proxy.
   *
   * @param name as for {@link address}
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static unix(name: string): Hop {
    const named = text('name', name)
    return new Hop('unix', named, unwrap(native.hopUnix(named)))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'a Hop', value)
  }
}

/** The options to verify a forwarded certificate. */
export interface ForwardedOptions {
  /** How the proxy writes the certificate. */
  dialect: Dialect
  /** The proxy that is believed. */
  hop: Hop
  /**
   * The peer of the transport itself: an IP address without a port (`req.socket.remoteAddress`),
   * `unix`, or the pin of the proxy's verified certificate. Never an address from a header, which
   * `req.ip` of Express may be. Only a secret hop needs none.
   */
  remote?: string | undefined
  /** The time of verification; by default now. */
  at?: Date | undefined
}

/** The most header lines of a request: as many as the core reads. */
const MAX_LINES = 1024

/** @internal Checks `rawHeaders`: name, value, name, value. */
export function headerLines(value: unknown): string[] {
  const expected = 'rawHeaders: an array of names and values in turn'
  if (!Array.isArray(value) || value.length % 2 !== 0) throw wrongType('headers', expected, value)
  // One line too many, which the core refuses.
  const lines = value.slice(0, 2 * (MAX_LINES + 1))
  for (const [at, line] of lines.entries()) {
    if (typeof line !== 'string') throw wrongItem('headers', at + 1, line)
  }
  return lines as string[]
}

/** @internal */
export function instant(option: string, value: unknown): number {
  if (types.isDate(value) && !Number.isNaN(value.getTime())) return value.getTime()
  throw wrongType(option, 'a valid Date', value)
}
