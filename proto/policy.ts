import { margay } from './generated/policy.js';
import { serverStream, unary } from './service.ts';

const v1 = margay.policy.v1;

/** The service of policy.proto, for {@link RpcServer.add} and {@link connect}. */
export const policyService = {
  getStatus: unary(path('GetStatus'), v1.GetStatusRequest, v1.Status),
  explain: unary(path('Explain'), v1.ExplainRequest, v1.ExplainResponse),
  listObjects: serverStream(path('ListObjects'), v1.ListObjectsRequest, v1.Objects),
  watch: serverStream(path('Watch'), v1.WatchRequest, v1.Update),
} as const;

function path(method: string): string {
  return `/margay.policy.v1.Policy/${method}`;
}
