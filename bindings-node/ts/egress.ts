import { settled, wrongType } from './error'
import { Options, text, texts } from './given'
import { native, type Handle } from './native'

/** `public`: the public Internet alone. `private`: private networks too, but never this host. */
export type EgressPreset = 'public' | 'private'

/**
 * Which addresses may be connected to. URLs come from customers, who could otherwise aim deliveries
 * at our own network.
 */
export type Egress =
  | EgressPreset
  | {
      /** What holds where no network below speaks. */
      preset: EgressPreset
      /** Networks to allow beyond the preset: CIDR (`10.1.0.0/16`) or single addresses. */
      allow?: Iterable<string>
      /** Networks to deny, whatever else allows them. */
      deny?: Iterable<string>
      /**
       * The prefixes of this network's own NAT64 gateways, of 32, 40, 48, 56, 64 or 96 bits. An
       * address in one is judged by the IPv4 address that it holds (RFC 6052).
       */
      nat64?: Iterable<string>
    }

/** @internal */
export function egressHandle(option: string, value: unknown): Handle {
  if (typeof value === 'string') return settled(native.egress(text(option, value), [], [], []))
  if (typeof value !== 'object') throw wrongType(option, 'a string or an object', value)
  const given = new Options(value, [], ['preset', 'allow', 'deny', 'nat64'])
  const preset = text('preset', given.value('preset'))
  const networks = (key: string): string[] => given.optional(key, texts) ?? []
  return settled(native.egress(preset, networks('allow'), networks('deny'), networks('nat64')))
}
