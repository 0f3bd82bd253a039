// The entry for ESM: the same classes as for CommonJS, so that a process with both has them once.

export * from './testing.js'
