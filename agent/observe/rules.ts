import { addressBits, type Family, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { isOwnPriority, routeProtocol, type RuleState, ruleKey } from '#agent/decide/host.ts';
import type { Run } from '#agent/io/host-port.ts';
import { count, type JsonObject, parseObjects, text } from './json.ts';

/** Our routing rules by ruleKey: those with our protocol number and one of our priorities. */
export async function observeRules(run: Run, interfacePrefix: string): Promise<Map<string, RuleState>> {
  const show = ['-N', '-j', 'rule', 'show'];
  const [four, six] = await Promise.all([run('ip', ['-4', ...show]), run('ip', ['-6', ...show])]);
  const rules = [...parseRules(four.stdout, 4, interfacePrefix), ...parseRules(six.stdout, 6, interfacePrefix)];
  return new Map(rules.map((rule) => [ruleKey(rule), rule]));
}

/** `json`: of `ip -N -j rule show`. */
export function parseRules(json: string, family: Family, interfacePrefix: string): RuleState[] {
  return parseObjects(json)
    .filter((entry) => Number(text(entry['protocol'])) === routeProtocol)
    .filter((entry) => isOwnPriority(interfacePrefix, count(entry['priority'])))
    .map((entry) => ({
      family,
      priority: count(entry['priority']),
      to: prefixIn(entry, 'dst', family),
      from: 'iif' in entry ? text(entry['iif']) : undefined,
      source: prefixIn(entry, 'src', family),
      mark: 'not' in entry ? undefined : markOf(entry),
      without: 'not' in entry ? markOf(entry) : undefined,
      table: entry['action'] === unreachable ? 'unreachable' : Number(text(entry['table'])),
      noDefault: entry['suppress_prefixlen'] === 0,
    }));
}

/** FR_ACT_UNREACHABLE, as `ip -N` prints it. */
const unreachable = '7';

function markOf(entry: JsonObject): number | undefined {
  return 'fwmark' in entry ? Number(text(entry['fwmark'])) : undefined;
}

/** Of a rule for all sources `ip` says so. */
function prefixIn(entry: JsonObject, end: 'src' | 'dst', family: Family): Prefix | undefined {
  if (!(end in entry) || entry[end] === 'all') return undefined;
  const length = `${end}len` in entry ? count(entry[`${end}len`]) : addressBits(family);
  const prefix = parsePrefix(`${text(entry[end])}/${String(length)}`);
  return prefix.ok ? prefix.value : undefined;
}
