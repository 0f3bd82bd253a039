// Conversions between snake_case, used by the core and in JSON, and camelCase, used in JavaScript.

/** Converts `observed_pin` to `observedPin`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** Converts `observedPin` to `observed_pin`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Returns a copy of an object with converted keys. Nested objects keep theirs. */
export function respelled(
  object: Readonly<Record<string, unknown>>,
  spell: (name: string) => string,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [spell(key), value]))
}
