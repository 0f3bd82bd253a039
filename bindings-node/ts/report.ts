import type { Addressee, Blame, CheckGroup, CheckStatus, Kind, Retry, Scope, Stage } from './enums'

/** The result of one check of a diagnosis. */
export interface CheckResult {
  /** The stable name, such as `handshake_dates`. */
  readonly id: string
  /** The stable number. */
  readonly number: number
  /** The part of a connection that the check is about. */
  readonly group: CheckGroup
  /** The title, a noun phrase. */
  readonly title: string
  /** How it ended. */
  readonly status: CheckStatus
  /** The observation, in one sentence. */
  readonly summary: string
  /** What to do, if it failed or warns; else null. */
  readonly remedy: string | null
  /** The kinds of the faults that it found. */
  readonly kinds: readonly Kind[]
  /** The address of the section about the check. */
  readonly help: string
}

/** One fault that a diagnosis found: the error that a delivery fails with if it is the only fault. */
export interface Finding {
  /** The check that found it. */
  readonly check: string
  readonly kind: Kind
  readonly stage: Stage
  readonly blame: Blame
  readonly scope: Scope
  readonly retry: Retry
  /** The observation and the expectation. */
  readonly message: string
  /** What to do. */
  readonly remedy: string
  /** The facts of the error, by their snake_case names. */
  readonly context: Readonly<Record<string, unknown>>
  /** The address of the page of the kind. */
  readonly help: string
}

/** What a diagnosis comes to. */
export interface Verdict {
  /** The check that decided; null if nothing is wrong. */
  readonly check: string | null
  /** The kind of the fault that a delivery meets first; null if there is none. */
  readonly kind: Kind | null
  /** Whose fault it is; null if there is none. */
  readonly blame: Blame | null
  /** The fault, in one sentence. */
  readonly message: string
  /** What to do. */
  readonly remedy: string
  /** Who must act. */
  readonly tell: Addressee
}

interface ReportJson {
  schema: number
  consumer: string
  origin: string
  ok: boolean
  checks: CheckResult[]
  findings: Finding[]
  verdict: Verdict
  message_to_consumer: string | null
  elapsed_ms: number
}

/** The result of a diagnosis. Created by {@link Dispatcher.diagnose}. */
export class Report {
  readonly #json: ReportJson
  readonly #text: string

  /** Whether no check failed. */
  readonly ok: boolean
  /** The consumer id of the endpoint. */
  readonly consumer: string
  /** Every check, in the order of their numbers. */
  readonly checks: readonly CheckResult[]
  /** Every fault. */
  readonly findings: readonly Finding[]
  /** The verdict. */
  readonly verdict: Verdict
  /**
   * A text for the operator of the consumer, without an address, path, host or rule of ours; null if
   * it need not act.
   */
  readonly messageToConsumer: string | null
  /** The duration of the diagnosis in milliseconds. */
  readonly elapsedMs: number

  /** @internal */
  constructor(result: string) {
    const { report, text } = JSON.parse(result) as { report: ReportJson; text: string }
    this.#json = report
    this.#text = text
    this.ok = report.ok
    this.consumer = report.consumer
    this.checks = report.checks
    this.findings = report.findings
    this.verdict = report.verdict
    this.messageToConsumer = report.message_to_consumer
    this.elapsedMs = report.elapsed_ms
  }

  /**
   * Returns the report as text for a person: one line for each check, 80 columns, no color.
   *
   * @returns the text
   */
  toString(): string {
    return this.#text
  }

  /**
   * Returns the report in the JSON form of every language: snake_case keys, milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }
}
