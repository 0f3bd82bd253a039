// Common parts of the Node clients: the arguments (<mode> <n> <url> <directory with tls.crt,
// tls.key and ca.pem> <pin>), and the printed line.

export const IN_FLIGHT = 32

// A fleet has this many consumers, each on its own port.
const FLEET = 504

const [mode, count, url, material, pin] = process.argv.slice(2)

export const given = { mode, n: Number(count), url, pin, file: (name) => `${material}/${name}` }

const hasFleet = ['fleet', 'again', 'idle'].includes(mode)

// Returns the URLs that the deliveries use in rotation: one, or those of the fleet.
export function urls() {
  if (!hasFleet) return [url]
  return Array.from({ length: FLEET }, (_, at) => {
    const each = new URL(url)
    each.port = String(Number(each.port) + at)
    return each.href
  })
}

// Returns the number of deliveries before the measured ones.
function before() {
  if (mode === 'again') return FLEET
  return hasFleet || mode.startsWith('cold') ? 4 : 4 * IN_FLIGHT
}

// Makes some deliveries, then n, and prints the cost of these. `deliver` resolves to the failure
// count.
export async function measured(client, deliver) {
  await deliver(before())
  const held = process.memoryUsage.rss()
  const from = process.cpuUsage()
  const started = performance.now()
  const errors = await deliver(given.n)
  const wall_s = (performance.now() - started) / 1e3
  const { user, system } = process.cpuUsage(from)
  const rss_kib = (process.memoryUsage.rss() - held) / 1024
  const { n } = given
  console.log(
    JSON.stringify({
      client, mode, n, user_s: user / 1e6, sys_s: system / 1e6, wall_s, rss_kib, errors,
    }),
  )
}

// Makes `n` sequential calls; returns how many returned false.
export async function oneByOne(n, deliver) {
  let errors = 0
  for (let i = 0; i < n; i++) errors += (await deliver()) ? 0 : 1
  return errors
}

// Makes `n` calls in 32 chains of promises.
export async function inFlight(n, deliver) {
  const chains = Array.from({ length: IN_FLIGHT }, () => oneByOne(n / IN_FLIGHT, deliver))
  return (await Promise.all(chains)).reduce((sum, errors) => sum + errors, 0)
}
