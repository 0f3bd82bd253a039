// What the API and the worker of the shop share: consumers, events, and the queue between both.

import { readFileSync } from 'node:fs'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'

const path = process.env.REDIS_SOCKET ?? '/run/redis/redis-server.sock'
const consumers = JSON.parse(readFileSync('consumers.json', 'utf8'))

export const connection = { path, maxRetriesPerRequest: null }
export const queue = new Queue('hooks', { connection })
const store = new Redis(connection)

export const names = Object.keys(consumers)
export const consumer = (name) => consumers[name]

export const keep = (id, event) => store.hset('events', id, JSON.stringify(event))
export const event = (id) => store.hget('events', id)

/** Keeps the state of a delivery for the API. */
export const note = ({ event, consumer }, state) =>
  store.hset(`deliveries:${event}`, consumer, state)

/** Returns the state of each delivery of an event. */
export async function states(id) {
  const noted = await store.hgetall(`deliveries:${id}`)
  return Object.fromEntries(names.map((name) => [name, noted[name] ?? 'waiting']))
}

export async function close() {
  await queue.close()
  await store.quit()
}
