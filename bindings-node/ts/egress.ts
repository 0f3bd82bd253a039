import { unwrap, wrongType } from './error'
import { Options, text, texts } from './options'
import { native, type Handle } from './native'

// generated: begin unions preset=EgressPreset
/**
 * The networks that an egress policy starts from.
 * - `public`: The addresses of the public Internet.
 * - `private`: Public addresses and private networks. Loopback and link-local stay denied.
 */
export type EgressPreset = 'public' | 'private'
// generated: end

/**
 * The addresses that a dispatcher may connect to. Customers supply URLs, and could otherwise direct
 * deliveries at our own network.
 */
export type Egress =
  | EgressPreset
  | {
      /** The rule for addresses that match no network below. */
      preset: EgressPreset
      /** Networks to allow in addition to the preset: CIDR (`10.1.0.0/16`) or single addresses. */
      allow?: Iterable<string> | undefined
      /** Networks to deny. They take precedence over `allow`. */
      deny?: Iterable<string> | undefined
      /**
       * The prefixes of this network's own NAT64 gateways, of 32, 40, 48, 56, 64 or 96 bits. The
       * rules apply to the IPv4 address that is embedded in such an address (RFC 6052).
       */
      nat64?: Iterable<string> | undefined
    }

/** @internal */
export function egressHandle(option: string, value: unknown): Handle {
  if (typeof value === 'string') return unwrap(native.egress(text(option, value), [], [], []))
  if (typeof value !== 'object') throw wrongType(option, 'a string or an object', value)
  const parsed = new Options(value, [], ['preset', 'allow', 'deny', 'nat64'])
  const preset = text('preset', parsed.value('preset'))
  const networks = (key: string): string[] => parsed.optional(key, texts) ?? []
  return unwrap(native.egress(preset, networks('allow'), networks('deny'), networks('nat64')))
}
