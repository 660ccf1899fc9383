// The store on a cluster of three: a member may die, and a member without quorum is not trusted.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startTestCluster, type TestEtcd } from '#test/support/etcd.ts';
import { until } from '#test/support/poll.ts';
import { nodeId } from '#test/support/registry-fixtures.ts';
import { enrol, failedWith, storeFor, succeeded, within } from './store-cases.ts';

test('the death of the leader costs no commit, that of the quorum freezes the mirror', async (t) => {
  const members = await startTestCluster(3);
  t.after(() => Promise.all(members.map((member) => member.close())));
  const endpoints = members.map((member) => member.endpoint);
  const store = await storeFor(t, { endpoint: '' }, 'a', { endpoints });
  const [leader, ...followers] = await byLeadership(members);
  assert.ok(leader !== undefined);
  let number = 0;
  const write = async (): Promise<void> => {
    succeeded(await store.commit(enrol(++number)));
  };
  while (number < 20) await write();
  await leader.kill();
  while (number < 60) await write();
  await until('the watch is back', () => store.healthy(), { within });

  const [second] = followers;
  assert.ok(second !== undefined);
  await second.kill();
  await until('it notices that the quorum is gone', () => !store.healthy(), { within: 15_000 });
  failedWith(await store.commit(enrol(100)), 'unavailable', /etcd/);
  assert.equal(store.snapshot().nodes.size, 60);
  await second.start();
  await until('it is healthy', () => store.healthy(), { within });
  while (number < 80) await write();
  assert.ok(store.snapshot().nodes.has(nodeId(80)));
});

/** The leader first. */
async function byLeadership(members: readonly TestEtcd[]): Promise<readonly TestEtcd[]> {
  const leads = async (member: TestEtcd): Promise<boolean> => {
    const [status] = JSON.parse(await member.ctl('endpoint', 'status', '-w', 'json')) as [
      { Status: { header: { member_id: number }; leader: number } },
    ];
    return status.Status.header.member_id === status.Status.leader;
  };
  const leading = await Promise.all(members.map(leads));
  return [...members].sort((a, b) => Number(leading[members.indexOf(b)]) - Number(leading[members.indexOf(a)]));
}
