import { type Brand, fail, ok, type Result } from './result.ts';

/** A node's identity for its whole life: 16 hexadecimal digits, made by the registry. */
export type NodeId = Brand<string, 'NodeId'>;
/** A node's name: a DNS label. Unique in its overlay. */
export type NodeName = Brand<string, 'NodeName'>;
export type Role = 'hub' | 'spoke';
export type Phase = 1 | 2 | 3;

export function parseNodeId(text: string): Result<NodeId> {
  return /^[0-9a-f]{16}$/.test(text)
    ? ok(text as NodeId)
    : fail('bad-node-id', `"${text.slice(0, 64)}" is not a node id of 16 hexadecimal digits`);
}

export function parseNodeName(text: string): Result<NodeName> {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)
    ? ok(text as NodeName)
    : fail(
        'bad-name',
        `"${text.slice(0, 64)}" is not a name: use 1 to 63 lower-case letters, digits and inner hyphens`,
      );
}

/** The name of a node that joins: not one that could be taken for another node's id. */
export function parseNewName(text: string): Result<NodeName> {
  return parseNodeId(text).ok
    ? fail('bad-name', `"${text}" looks like the id of a node: choose another name`)
    : parseNodeName(text);
}

/** An overlay's name: a DNS label too, as it is the host part of every identity in the overlay. */
export function parseOverlayName(text: string): Result<string> {
  return parseNodeName(text).ok
    ? ok(text)
    : fail(
        'bad-name',
        `"${text.slice(0, 64)}" is not an overlay name: use 1 to 63 lower-case letters, digits and inner hyphens`,
      );
}

export function parseRole(text: string): Result<Role> {
  return text === 'hub' || text === 'spoke'
    ? ok(text)
    : fail('bad-role', `"${text.slice(0, 64)}" is not a role: use hub or spoke`);
}

export function parsePhase(value: number): Result<Phase> {
  return value === 1 || value === 2 || value === 3
    ? ok(value)
    : fail('bad-phase', `${String(value)} is not a phase: use 1, 2 or 3`);
}
