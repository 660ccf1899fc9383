// docs/nhrp-conformance.md from a run.
import type { Requirement } from './requirement.ts';

export type Outcome = 'passes' | 'fails';

export function report(requirements: readonly Requirement[], outcomes: ReadonlyMap<Requirement, Outcome>): string {
  const proven = requirements.filter(({ proof }) => typeof proof === 'function');
  const passed = proven.filter((one) => outcomes.get(one) === 'passes').length;
  const others = requirements.length - proven.length;
  return [
    '# NHRP conformance',
    '',
    'Made by `deploy/conformance` from a run of test/conformance; do not edit. What RFC 2332 demands, section by section and in our',
    "words, and DMVPN's redirect and shortcut. Each that applies is one test: of the registry over gRPC and mutual TLS on loopback,",
    "or of the agent's core.",
    '',
    `${String(passed)} of ${String(proven.length)} requirements pass; ${String(others)} do not apply to a point-to-multipoint WireGuard overlay.`,
    '',
    '| section | level | requirement | result, or why it does not apply |',
    '|---|---|---|---|',
    ...[...requirements].sort(bySection).map((one) => row(one, outcomes.get(one) ?? 'fails')),
    '',
  ].join('\n');
}

function row({ section, level, text, proof }: Requirement, outcome: Outcome): string {
  return `| ${section} | ${level} | ${text} | ${typeof proof === 'function' ? outcome : proof.exempt} |`;
}

/** As in the RFC, and in the order of the source within a section. */
function bySection(a: Requirement, b: Requirement): number {
  return a.section.localeCompare(b.section, 'en', { numeric: true });
}
