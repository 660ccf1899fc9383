// Prefix lists as routers have them: "10.0.0.0/8 ge 16 le 24" is every prefix of 16 to 24 bits inside 10.0.0.0/8.
import { addressBits, containsPrefix, familyOf, lengthOf, parsePrefix, type Prefix } from './address.ts';
import { fail, ok, type Result } from './result.ts';

export interface PrefixRule {
  readonly prefix: Prefix;
  /** Lengths that match, in bits. */
  readonly least: number;
  readonly most: number;
}

/**
 * "PREFIX [ge BITS] [le BITS]". Without ge and le, that prefix alone; with ge alone, up to the longest; with le alone, from
 * the prefix's own length on. Faults: those of parsePrefix, bad-prefix-rule.
 */
export function parsePrefixRule(text: string): Result<PrefixRule> {
  const match = /^(\S+)(?:\s+ge\s+(\d{1,3}))?(?:\s+le\s+(\d{1,3}))?$/.exec(text.trim());
  if (!match) return fail('bad-prefix-rule', `"${text.slice(0, 64)}" is not "PREFIX [ge BITS] [le BITS]"`);
  const prefix = parsePrefix(match[1] ?? '');
  if (!prefix.ok) return prefix;
  const bits = addressBits(familyOf(prefix.value));
  const own = lengthOf(prefix.value);
  const [ge, le] = [match[2], match[3]];
  const least = ge === undefined ? own : Number(ge);
  const most = le === undefined ? (ge === undefined ? own : bits) : Number(le);
  if (own <= least && least <= most && most <= bits) return ok({ prefix: prefix.value, least, most });
  return fail('bad-prefix-rule', `"${text.slice(0, 64)}" needs ${String(own)} <= ge <= le <= ${String(bits)}`);
}

/** The shortest text that parsePrefixRule reads as this rule. */
export function formatPrefixRule({ prefix, least, most }: PrefixRule): string {
  const own = lengthOf(prefix);
  const bits = addressBits(familyOf(prefix));
  const ge = least === own && !(most === bits && most !== own) ? '' : ` ge ${String(least)}`;
  const le = most === own || (ge !== '' && most === bits) ? '' : ` le ${String(most)}`;
  return `${prefix}${ge}${le}`;
}

export function matchesPrefixRule(rule: PrefixRule, prefix: Prefix): boolean {
  const length = lengthOf(prefix);
  return rule.least <= length && length <= rule.most && containsPrefix(rule.prefix, prefix);
}

export function matchesPrefixList(rules: readonly PrefixRule[], prefix: Prefix): boolean {
  return rules.some((rule) => matchesPrefixRule(rule, prefix));
}
