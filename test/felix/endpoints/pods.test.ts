import { describe, expect, test } from 'vitest';
import { callPlugin, configuration, envOf, Node } from '../node.ts';

describe('a pod', () => {
  test('comes with addresses, routes and neighbours, and goes without a trace', async () => {
    await using node = await Node.start();
    using pod = node.pod();
    const container = {
      id: 'c1',
      netns: pod.path,
      args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0',
    };
    const added = await callPlugin(envOf('ADD', node.socket, container), configuration());
    expect(added.result).toMatchObject({
      cniVersion: '1.0.0',
      ips: [{ address: '10.1.0.1/32' }, { address: 'fd00:1::1/128' }],
    });
    expect(await pod.execAsync('ping', ['-c1', '-W2', '169.254.1.1']).catch((e) => String(e))).toContain(
      'bytes',
    );
    const removed = await callPlugin(envOf('DEL', node.socket, container), configuration());
    expect(removed).toEqual({ status: 0, result: undefined });
  });
});
