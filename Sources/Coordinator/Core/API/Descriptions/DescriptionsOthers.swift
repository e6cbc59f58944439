// Descriptions of namespaces, nodes, ConfigMaps, Secrets and other small kinds. Data, no behaviour.

extension Descriptions {
  static let others = """
    Namespace: Namespace is a part of the cluster with names of its own.
    NamespaceSpec: NamespaceSpec says what holds a namespace.
      finalizers: Names that hold a deleted namespace; written by namespaces/NAME/finalize. kubernetes goes when the
        namespace is empty.
    NamespaceStatus: NamespaceStatus is whether a namespace is going.
      phase: Active, or Terminating: nothing new may come into it.
      conditions: Of a namespace that goes: what remains, and which finalizers hold it.
    NamespaceCondition: NamespaceCondition is one aspect of a namespace that goes.
      type: The aspect, as NamespaceContentRemaining.
      status: True, False or Unknown.
      lastTransitionTime: When the status last became another one.
      reason: One word on why.
      message: The same for people.
    ConfigMap: ConfigMap is texts and files for pods, at most 1 MiB.
      immutable: True: data cannot be changed any more.
      data: Texts by key.
      binaryData: Bytes by key, in base64.
    Secret: Secret is texts and files for pods that are not shown in tables, at most 1 MiB.
      immutable: True: data cannot be changed any more.
      data: Bytes by key, in base64.
      stringData: Texts by key; written into data, never shown.
      type: What the Secret is for; Opaque when absent. It cannot be changed.
    ServiceAccount: ServiceAccount is whom a program in a pod is to the API.
      secrets: Secrets that belong to it.
      imagePullSecrets: Kept: no images are pulled.
      automountServiceAccountToken: False: its pods get no token mounted, unless they say otherwise.
    Lease: Lease is a claim that is held for a time.
    LeaseSpec: LeaseSpec is who holds a lease and until when.
      holderIdentity: Who holds it.
      leaseDurationSeconds: How long it holds without a renewal.
      acquireTime: When the holder got it.
      renewTime: When the holder last renewed it.
      leaseTransitions: How often it changed hands.
      strategy: How a new holder is chosen.
      preferredHolder: Who should hold it next.
    PriorityClass: PriorityClass is a name for a priority of pods.
      value: The priority; at most 1000000000. It cannot be changed.
      globalDefault: Whether it is that of pods without a class.
      description: What the class is for.
      preemptionPolicy: PreemptLowerPriority or Never.
    Queue: Queue holds Jobs back until there is room for them. A Job waits in it by its annotation stint.dev/queue.
    QueueSpec: QueueSpec says how much the Jobs of a queue may take, and whose turn it is.
      priority: Of several queues that have room, those of higher priority admit their Jobs first.
      limits: What admitted Jobs may take together: jobs, pods, cpu, memory and extended resources. What is not named
        has no limit.
      weights: Shares by namespace; 1 when absent. The next Job is of the namespace whose admitted Jobs have the fewest
        pods for its weight.
    QueueStatus: QueueStatus is how full a queue is; written by the coordinator.
      waiting: Jobs that wait.
      running: Jobs that were admitted and have not ended.
      used: What the admitted Jobs may take together.
    ResourceQuota: ResourceQuota says how much a namespace may have in all.
    ResourceQuotaSpec: ResourceQuotaSpec is what is bounded, and for which pods.
      hard: How much there may be, by name: pods, cpu, memory, requests.NAME, limits.NAME, count/PLURAL.GROUP.
      scopes: Conditions that all have to hold of a pod for it to count. They cannot be changed.
      scopeSelector: The same with operators and values. It cannot be changed.
    ScopeSelector: ScopeSelector is conditions that all have to hold.
      matchExpressions: The conditions.
    ScopedResourceSelectorRequirement: ScopedResourceSelectorRequirement is one condition on a pod.
      scopeName: Terminating, NotTerminating, BestEffort, NotBestEffort, PriorityClass or CrossNamespacePodAffinity.
      operator: In, NotIn, Exists or DoesNotExist.
      values: Names of priority classes for In and NotIn.
    ResourceQuotaStatus: ResourceQuotaStatus is how much is in use; written by the coordinator.
      hard: How much there may be.
      used: How much there is.
    LimitRange: LimitRange says how much one container or pod of a namespace may have, and has when it says nothing.
    LimitRangeSpec: LimitRangeSpec is the rules, one for each type.
      limits: The rules.
    LimitRangeItem: LimitRangeItem is the rule for one type of object.
      type: Pod, Container or PersistentVolumeClaim.
      max: The most that may be a limit, by resource.
      min: The least that may be a request, by resource.
      default: Limits of containers that have none; max when absent.
      defaultRequest: Requests of containers that have none; default, then min, when absent.
      maxLimitRequestRatio: How many times its request a limit may be.
    PodDisruptionBudget: PodDisruptionBudget says how many pods evictions may take at once.
    PodDisruptionBudgetSpec: PodDisruptionBudgetSpec chooses pods and bounds what may be missing of them.
      minAvailable: So many have to stay, as a number. A share cannot be told of a Job's pods.
      selector: The pods; absent: none, empty: all of the namespace.
      maxUnavailable: So many may be missing. It cannot be told of a Job's pods; use minAvailable.
      unhealthyPodEvictionPolicy: IfHealthyBudget, or AlwaysAllow: pods that are not ready may always go.
    PodDisruptionBudgetStatus: PodDisruptionBudgetStatus is how many pods may go now.
      observedGeneration: The generation of the spec that it is about.
      disruptedPods: Never set: a pod that is evicted counts as gone at once.
      disruptionsAllowed: How many may be evicted now.
      currentHealthy: Pods that are ready.
      desiredHealthy: Pods that have to be ready.
      expectedPods: Pods that are selected.
      conditions: DisruptionAllowed, and why.
    Node: Node is a machine whose agent runs pods.
    NodeSpec: NodeSpec says what a node takes.
      podCIDR: Never used: pods have their node's address.
      podCIDRs: Never used: pods have their node's address.
      providerID: The machine's name with its provider.
      unschedulable: True: no new pods come here, as after kubectl cordon.
      taints: What keeps pods away that do not bear it.
      configSource: Never used.
      externalID: Never used.
    Taint: Taint keeps pods away from a node.
      key: The taint's name.
      value: Its value.
      effect: NoSchedule, PreferNoSchedule or NoExecute, which also ends pods that run.
      timeAdded: Since when, for NoExecute.
    NodeStatus: NodeStatus is how a node is, as its agent reports it.
      capacity: What the machine has: cpu, memory, pods.
      allocatable: What pods may use of it: all but what the agent keeps back (--reserve).
      phase: Never set.
      conditions: Ready and the node's troubles.
      addresses: The agent's address and the host name.
      daemonEndpoints: Never set: an agent serves nothing.
      nodeInfo: The machine's ids, kernel and versions.
      images: Never set: no images are pulled.
      volumesInUse: Never set in this version.
      volumesAttached: Never set in this version.
      config: Never set in this version.
      runtimeHandlers: Never set in this version.
      features: Never set in this version.
      declaredFeatures: Never set in this version.
    NodeCondition: NodeCondition is one aspect of a node's state.
      type: The aspect, as Ready.
      status: True, False or Unknown.
      lastHeartbeatTime: When the agent last told.
      lastTransitionTime: When the status last became another one.
      reason: One word on why.
      message: The same for people.
    NodeAddress: NodeAddress is an address of a node.
      type: InternalIP or Hostname.
      address: The address.
    """
}
