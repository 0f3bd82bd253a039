// The same words in two spellings: snake_case in the core and in every JSON form, camelCase here.

/** `observed_pin` to `observedPin`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `observedPin` to `observed_pin`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** An object with its own keys, not those of its values, spelled anew. */
export function respelled(
  object: Readonly<Record<string, unknown>>,
  spell: (name: string) => string,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [spell(key), value]))
}
