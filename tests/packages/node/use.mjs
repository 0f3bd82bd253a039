import { Dispatcher, TenantRule, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'
import use from './use.cjs'

await use({ Dispatcher, TenantRule, Verifier, Lab })
