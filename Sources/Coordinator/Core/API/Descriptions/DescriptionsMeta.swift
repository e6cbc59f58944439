// Descriptions of metadata, selectors and references. Data, no behaviour.

extension Descriptions {
  static let meta = """
    *:
      apiVersion: The group and version of the object's schema.
      kind: The object's kind.
      metadata: Name, labels, owners and other data that every object has.
      spec: What is wanted.
      status: What is; written by the cluster.
    ObjectMeta: ObjectMeta is what every object has.
      name: The object's name, one of its kind in its namespace. It cannot be changed.
      generateName: A prefix: when there is no name, the cluster adds five random characters to it.
      namespace: The namespace that the object is in; empty for nodes, namespaces and priority classes.
      selfLink: Never set.
      uid: The identity of this object, never given twice. Set by the cluster.
      resourceVersion: The number of the object's last change. In an update it must still be the stored one.
      generation: Counts the changes of the spec. Set by the cluster.
      creationTimestamp: When the object was created. Set by the cluster.
      deletionTimestamp: When the object is to be gone; set when its deletion was asked for.
      deletionGracePeriodSeconds: The grace with which the object is being deleted.
      labels: Short names and values by which selectors find the object.
      annotations: Names and texts for people and programs, at most 256 KiB; nothing selects by them.
      ownerReferences: Objects that this one belongs to; it goes when they are gone.
      finalizers: Names that hold a deleted object until each is taken off.
      managedFields: Who wrote or applied which fields, for server-side apply.
    OwnerReference: OwnerReference names an object that owns this one.
      apiVersion: Group and version of the owner.
      kind: The owner's kind.
      name: The owner's name.
      uid: The owner's uid; another object of that name is not the owner.
      controller: Whether the owner controls this object; one owner at most does.
      blockOwnerDeletion: Whether a foreground deletion of the owner waits for this object.
    ManagedFieldsEntry: ManagedFieldsEntry is what one manager wrote or applied.
      manager: The name of who wrote: fieldManager, else from the User-Agent.
      operation: Apply or Update.
      apiVersion: The version of the schema that the fields are named by.
      time: When the manager last changed these fields.
      fieldsType: Always FieldsV1.
      fieldsV1: The fields as a tree.
      subresource: The subresource that was written, as status; empty for the object itself.
    LabelSelector: LabelSelector chooses objects by their labels; both of its parts must hold.
      matchLabels: Labels that must be there with these values.
      matchExpressions: Rules about labels that must all hold.
    LabelSelectorRequirement: LabelSelectorRequirement is one rule about a label.
      key: The label.
      operator: In, NotIn, Exists or DoesNotExist.
      values: The values of In and NotIn; empty for the others.
    LocalObjectReference: LocalObjectReference names an object of the same namespace.
      name: The object's name.
    ObjectReference: ObjectReference names an object anywhere in the cluster.
      kind: The object's kind.
      namespace: The object's namespace.
      name: The object's name.
      uid: The object's uid.
      apiVersion: Group and version of the object.
      resourceVersion: The version of the object that is meant.
      fieldPath: The part of the object that is meant, as spec.containers{main}.
    Condition: Condition is one aspect of an object's state.
      type: The aspect.
      status: True, False or Unknown.
      observedGeneration: The generation of the spec that the condition is about.
      lastTransitionTime: When the status last became another one.
      reason: One word on why.
      message: The same for people.
    DeleteOptions: DeleteOptions says how an object is deleted.
      gracePeriodSeconds: Seconds between SIGTERM and SIGKILL of a pod; 0 takes the object away at once.
      preconditions: What must hold for the deletion to happen.
      orphanDependents: An old form of propagationPolicy; not both.
      propagationPolicy: Orphan, Background or Foreground: what becomes of the objects that it owns.
      dryRun: All: everything is checked and nothing is deleted.
      ignoreStoreReadErrorWithClusterBreakingPotential: No effect: there are no objects that cannot be read.
    Preconditions: Preconditions name the very object that is meant.
      uid: The object's uid.
      resourceVersion: The object's version.
    Eviction: Eviction asks that a pod leaves its node politely.
      deleteOptions: How the pod is deleted.
    """
}
