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
      to: destinationOf(entry, family),
      from: 'iif' in entry ? text(entry['iif']) : undefined,
      without: 'not' in entry && 'fwmark' in entry ? Number(text(entry['fwmark'])) : undefined,
      table: Number(text(entry['table'])),
      noDefault: entry['suppress_prefixlen'] === 0,
    }));
}

function destinationOf(entry: JsonObject, family: Family): Prefix | undefined {
  if (!('dst' in entry)) return undefined;
  const length = 'dstlen' in entry ? count(entry['dstlen']) : addressBits(family);
  const prefix = parsePrefix(`${text(entry['dst'])}/${String(length)}`);
  return prefix.ok ? prefix.value : undefined;
}
