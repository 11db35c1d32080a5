import { KubernetesSource } from '#datastore/kubernetes/source.ts';
import { describeSource } from '../contract.ts';
import { FakeApiServer } from './server.ts';

/** So that a test does not wait for what takes a minute in the field. */
const SHORT = { shortestPause: 5, longestPause: 40 };

describeSource('the Kubernetes API', async () => {
  const server = await FakeApiServer.start();
  const kubeconfig = server.kubeconfig();
  return {
    source: () => new KubernetesSource({ kubeconfig, times: SHORT }),
    put: (name, version) => server.put('Namespace', name, { labels: { v: version } }),
    delete: (name) => server.delete('Namespace', name),
    goAway: () => server.crash(),
    comeBack: () => server.listen(),
    close: () => server[Symbol.asyncDispose](),
  };
});
