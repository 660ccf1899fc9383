import { fail, ok, type Result } from '#proto/model/result.ts';
import { formatPrefixRule, parsePrefixRule } from '#proto/model/prefix-list.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { announce, review } from './announce.ts';
import { transaction } from './node.ts';
import type { NodeRecord, PolicyRule } from './records.ts';
import { findNode } from './removal.ts';
import type { Put, Snapshot, Transaction } from './state.ts';

export interface PrefixOrder {
  /** Name or id. */
  readonly node: string;
  readonly action: string;
  /** "PREFIX [ge BITS] [le BITS]". */
  readonly rule: string;
  readonly shared: boolean;
}

export interface PolicyChange {
  readonly node: NodeRecord;
  readonly transaction: Transaction;
}

const mostRules = 256;

/**
 * Changes what a node may announce, and what it announces with it: a rule about the same prefixes replaces the old one. Faults:
 * node-unknown, those of parsePrefixRule, unknown-action, no-rule, too-many.
 */
export function setPrefixRule(snapshot: Snapshot, order: PrefixOrder, now: Timestamp): Result<PolicyChange> {
  const found = findNode(snapshot, order.node);
  if (!found.ok) return found;
  const rule = parsePrefixRule(order.rule);
  if (!rule.ok) return rule;
  const { action, shared } = order;
  const old = found.value;
  const text = formatPrefixRule(rule.value);
  const others = old.policy.filter((one) => formatPrefixRule(one) !== text);
  if (action !== 'allow' && action !== 'deny' && action !== 'remove') {
    return fail('unknown-action', `"${action.slice(0, 64)}" is not allow, deny or remove`);
  }
  if (action === 'remove' && others.length === old.policy.length) {
    return fail('no-rule', `${old.name} has no rule "${text}": see dmwg prefix list`);
  }
  const added: PolicyRule[] =
    action === 'remove' ? [] : [{ ...rule.value, action, shared: shared && action === 'allow' }];
  const policy = [...others, ...added];
  if (policy.length > mostRules) return fail('too-many', `a node has at most ${String(mostRules)} rules`);
  const node: NodeRecord = { ...old, policy };
  return ok({
    node,
    transaction: transaction({
      unchanged: [
        { kind: 'node', id: node.id },
        { kind: 'binding', id: node.id },
      ],
      put: [{ kind: 'node', record: node }, ...rebound(snapshot, node, now)],
    }),
  });
}

/** "allow 10.0.0.0/8 le 24 shared". */
export function formatPolicyRule(rule: PolicyRule): string {
  return `${rule.action} ${formatPrefixRule(rule)}${rule.shared ? ' shared' : ''}`;
}

/** What it asked for before, judged anew. */
function rebound(snapshot: Snapshot, node: NodeRecord, now: Timestamp): Put[] {
  const binding = snapshot.bindings.get(node.id);
  if (!binding) return [];
  const wishes = [...binding.announcements, ...binding.refused];
  const damped = new Set(binding.refused.filter((one) => one.damped).map(({ prefix }) => prefix));
  const limit = snapshot.overlay?.prefixLimit ?? 0;
  const verdicts = review(snapshot, node, { wishes, kept: [], limit, damped });
  const next = announce(binding.announcements, binding.refused, { wishes, verdicts, now, additive: false, damped });
  return [{ kind: 'binding', record: { ...binding, ...next } }];
}
