// What RFC 2332 and DMVPN demand, as data: each requirement with the test that proves it, or with the reason why it does not
// apply here. nhrp.test.ts runs them, report.ts makes the table of them.
import type { TestContext } from 'node:test';

export interface Requirement {
  /** Of RFC 2332; "DMVPN" for what it does not know. */
  readonly section: string;
  readonly level: 'MUST' | 'MUST NOT' | 'SHOULD' | 'MAY';
  /** In our words. */
  readonly text: string;
  readonly proof: Proof | { readonly exempt: string };
}

export type Proof = (t: TestContext) => Promise<void> | void;

/** A section's requirements. */
export function section(number: string, ...rules: readonly Omit<Requirement, 'section'>[]): Requirement[] {
  return rules.map((rule) => ({ section: number, ...rule }));
}

export const must = (text: string, proof: Proof) => ({ level: 'MUST', text, proof }) as const;
export const mustNot = (text: string, proof: Proof) => ({ level: 'MUST NOT', text, proof }) as const;
export const should = (text: string, proof: Proof) => ({ level: 'SHOULD', text, proof }) as const;
export const may = (text: string, proof: Proof) => ({ level: 'MAY', text, proof }) as const;
/** A requirement that does not apply to a point-to-multipoint overlay on WireGuard, and why. */
export const exempt = (level: Requirement['level'], text: string, why: string) =>
  ({ level, text, proof: { exempt: why } }) as const;

export function titleOf({ section: number, text }: Requirement): string {
  return `${number} ${text}`;
}
