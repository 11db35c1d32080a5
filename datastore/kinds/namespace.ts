import { clusterScoped, type Metadata } from '../metadata.ts';
import { lenient } from '../schema.ts';

/** A namespace (`v1`). Its labels always have `kubernetes.io/metadata.name`, which the API server sees to. */
export interface Namespace extends Metadata {
  readonly kind: 'Namespace';
}

/** The label by which a namespace can be selected by its name. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

export const namespace = lenient({ metadata: clusterScoped }).transform(
  ({ metadata }): Namespace => ({
    kind: 'Namespace',
    ...metadata,
    labels: { ...metadata.labels, [NAMESPACE_NAME_LABEL]: metadata.name },
  }),
);
