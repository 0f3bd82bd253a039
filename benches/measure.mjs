// What the clients in Node have in common: their arguments (<mode> <n> <url> <directory with tls.crt,
// tls.key and ca.pem> <pin>), and the line that they print.

export const IN_FLIGHT = 32

const [mode, count, url, material, pin] = process.argv.slice(2)

export const given = { mode, n: Number(count), url, pin, file: (name) => `${material}/${name}` }

// Delivers some, then n, and prints what these cost; `deliver` resolves to how many failed.
export async function measured(client, deliver) {
  await deliver(given.mode.startsWith('cold') ? 4 : 4 * IN_FLIGHT)
  const before = process.cpuUsage()
  const started = performance.now()
  const errors = await deliver(given.n)
  const wall_s = (performance.now() - started) / 1e3
  const { user, system } = process.cpuUsage(before)
  const { mode, n } = given
  console.log(
    JSON.stringify({ client, mode, n, user_s: user / 1e6, sys_s: system / 1e6, wall_s, errors }),
  )
}

// `n` calls, one after the other; how many were false.
export async function oneByOne(n, deliver) {
  let errors = 0
  for (let i = 0; i < n; i++) errors += (await deliver()) ? 0 : 1
  return errors
}

// The same by 32 chains of promises.
export async function inFlight(n, deliver) {
  const chains = Array.from({ length: IN_FLIGHT }, () => oneByOne(n / IN_FLIGHT, deliver))
  return (await Promise.all(chains)).reduce((sum, errors) => sum + errors, 0)
}
