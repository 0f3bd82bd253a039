// The entry for ESM: the same functions as for CommonJS.

export * from './bullmq.js'
