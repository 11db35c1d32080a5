import { type Labels, labels, lenient, ruled, text, withDefault } from './schema.ts';
import { DNS_LABEL, SUBDOMAIN } from './syntax.ts';

/** What all resources have. */
export interface Metadata {
  /** Empty for kinds that are not in a namespace. */
  readonly namespace: string;
  readonly name: string;
  /** Tells an object from a later one of the same name; empty where nobody assigns it. */
  readonly uid: string;
  readonly labels: Labels;
}

const common = { name: ruled(SUBDOMAIN), uid: text, labels };

/** Metadata of a kind that lives in a namespace; without one it is `default`, as with kubectl. */
export const namespaced = lenient({ namespace: withDefault(ruled(DNS_LABEL), 'default'), ...common });

/** Metadata of a kind that belongs to the whole cluster; a namespace is ignored, as the API server does. */
export const clusterScoped = lenient(common).transform(
  (metadata): Metadata => ({ namespace: '', ...metadata }),
);
