import { cieCode, type NhrpMessage, type PurgeRequest, type RegistrationRequest } from '#proto/model/nhrp.ts';
import { ok } from '#proto/model/result.ts';
import { admit } from '#registry/decide/admit.ts';
import { purgeByNode } from '#registry/decide/purge.ts';
import { refuseAll, register, type RegistrationOutcome } from '#registry/decide/register.ts';
import { decideAndCommit } from './commit.ts';
import { refusalText } from './complaints.ts';
import type { RegistryContext } from './context.ts';
import type { Damper } from './damper.ts';
import { serverNamed } from './servers.ts';
import type { Session } from './session.ts';

export interface Told {
  readonly send: (session: Session, message: NhrpMessage) => void;
  /** A registration came back that only has to be held again. */
  readonly revived: () => void;
}

/** What nodes say about themselves: registrations, and purges of what is their own. */
export class Registrar {
  readonly #context: RegistryContext;
  readonly #damper: Damper;
  readonly #told: Told;
  /** The last one of a session. */
  readonly #refusals = new WeakMap<Session, string>();

  constructor(context: RegistryContext, damper: Damper, told: Told) {
    this.#context = context;
    this.#damper = damper;
    this.#told = told;
  }

  async register(session: Session, request: NhrpMessage<RegistrationRequest>): Promise<void> {
    const { store, clock, events } = this.#context;
    await this.#damper.turn(session.node);
    const damping = this.#damper.damping(session.node);
    const server = serverNamed(this.#context);
    const context = { now: clock.date(), agentVersion: session.agentVersion, server, damping };
    const known = store.snapshot().bindings.get(session.node);
    const outcome = await decideAndCommit<RegistrationOutcome>(store, (snapshot) => {
      const node = admit(snapshot, session.node);
      if (!node.ok) return node;
      const decision = register(snapshot, node.value, request, context);
      // What only has to be held again is served from the snapshot, and written by the sweeper when etcd is there.
      return ok(decision.revived === true ? { ...decision, transaction: undefined } : decision);
    });
    if (!outcome.ok) {
      this.#context.log.warn({ node: session.node, fault: outcome.fault.code }, 'registration is not stored');
      // Without a CIE there is nothing to refuse; without a reply the node repeats it.
      if (request.body.cies.length > 0)
        this.#told.send(session, refuseAll(request, cieCode.noResources, context.server).reply);
      return;
    }
    const { reply, transaction, flaps } = outcome.value;
    this.#damper.keep(session.node, flaps);
    if (transaction && flaps) this.#damper.changed(session.node);
    const refused = reply.body.type !== 'registration-reply' || reply.body.cies.some((one) => one.code !== cieCode.ok);
    const name = store.snapshot().nodes.get(session.node)?.name ?? session.node;
    if (!refused) session.registered = true;
    if (refused) this.#refused(session, name, refusalText(reply.body));
    else if (transaction) events.add(known ? 'node.changed' : 'node.registered', name);
    this.#told.send(session, reply);
    if (outcome.value.revived === true) this.#told.revived();
  }

  async purge(session: Session, request: NhrpMessage<PurgeRequest>): Promise<void> {
    await this.#damper.turn(session.node);
    const damping = this.#damper.damping(session.node);
    const outcome = await decideAndCommit(this.#context.store, (snapshot) => {
      const node = admit(snapshot, session.node);
      if (!node.ok) return node;
      const decision = purgeByNode(snapshot, node.value, request, { server: serverNamed(this.#context), damping });
      // It is not to register again by itself.
      if (decision.transaction?.delete.some(({ kind }) => kind === 'binding')) session.registered = false;
      return ok(decision);
    });
    // Without a reply the node repeats it.
    if (!outcome.ok) return;
    this.#damper.keep(session.node, outcome.value.flaps);
    if (outcome.value.transaction) this.#damper.changed(session.node);
    if (outcome.value.reply) this.#told.send(session, outcome.value.reply);
  }
  /** Who asks again and again is told of once. */
  #refused(session: Session, name: string, text: string): void {
    if (this.#refusals.get(session) === text) return;
    this.#refusals.set(session, text);
    this.#context.events.add('node.refused', name, text);
  }
}
