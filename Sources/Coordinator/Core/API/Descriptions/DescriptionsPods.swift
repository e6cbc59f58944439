// Descriptions of a pod's spec without its containers and volumes. Data, no behaviour.

extension Descriptions {
  static let pods = """
    Pod: Pod is one or more containers that run together on one node.
    PodSpec: PodSpec says what a pod runs and where it may.
      volumes: Directories and files that the containers may mount.
      initContainers: Containers that run one after the other before the others start; with restartPolicy Always one
        goes on beside them.
      containers: The containers, started together.
      ephemeralContainers: Containers that were added to the pod when it was there, by its part ephemeralcontainers.
      restartPolicy: Never, OnFailure or Always; a Job's pods take the first two.
      terminationGracePeriodSeconds: Seconds between SIGTERM and SIGKILL; 30 when absent.
      activeDeadlineSeconds: The pod fails when it has been on its node this long.
      dnsPolicy: Kept: containers use the node's resolver, whatever it says.
      nodeSelector: Labels that the node must have.
      serviceAccountName: Whom its programs are to the API; default when absent.
      serviceAccount: The old name of serviceAccountName.
      automountServiceAccountToken: Whether its account's token is mounted; as the account says when absent.
      nodeName: The node, set by the scheduler. Where a manifest sets it the pod goes there past the
        scheduler, and fails if the node has no room.
      hostNetwork: Kept: every pod uses its node's network.
      hostPID: Use the node's process ids.
      hostIPC: Use the node's shared memory and semaphores.
      shareProcessNamespace: Kept: the containers of a pod always see each other's processes.
      securityContext: Users, groups and other rights of the pod.
      imagePullSecrets: Kept: no images are pulled.
      hostname: The pod's name for itself, in the variable HOSTNAME.
      subdomain: The domain of the pod's name in a cluster's DNS.
      affinity: Rules about nodes and about other pods nearby. About pods, required ones are refused,
        preferred ones have no effect in this version.
      schedulerName: Only default-scheduler; others are refused.
      tolerations: Taints that the pod bears, and for how long. Those of lost nodes say how soon it is replaced.
      hostAliases: Lines of the containers' /etc/hosts.
      priorityClassName: The pod's priority class; absent: the one that is for all, if there is one.
      priority: The priority of its class, set by the server. Higher goes first, and may take the place of lower.
      dnsConfig: Additions to the resolver's configuration.
      readinessGates: Conditions that must hold for the pod to be ready.
      runtimeClassName: The container runtime to use.
      enableServiceLinks: Kept: there are no services to link.
      preemptionPolicy: Never: the pod goes first, but takes nobody's place. Set by the server as its class has it.
      overhead: Resources that the pod's runtime needs by itself.
      topologySpreadConstraints: How pods are spread over nodes.
      setHostnameAsFQDN: Show the full domain name as the host name.
      os: The operating system of the pod: linux.
      hostUsers: false: users of the pod's own, whom the node does not know; true, or absent: the node's.
      schedulingGates: Names that keep the pod from being scheduled until they are taken off.
      resourceClaims: Claims of devices.
      resources: Resources of the pod as a whole.
      hostnameOverride: A host name that replaces the pod's name.
      workloadRef: The workload that the pod is scheduled with.
      schedulingGroup: The group that the pod is scheduled with.
    PodSecurityContext: PodSecurityContext is users, groups and other rights of a pod.
      seLinuxOptions: The SELinux label of the containers.
      windowsOptions: Options for Windows.
      runAsUser: The user id of the containers.
      runAsGroup: The group id of the containers.
      runAsNonRoot: Refuse to start as root.
      supplementalGroups: More groups of the processes.
      supplementalGroupsPolicy: How supplementalGroups and an image's groups combine.
      fsGroup: The group that owns the volumes.
      sysctls: Kernel parameters of the pod.
      fsGroupChangePolicy: When the owner of volumes is changed.
      seccompProfile: The filter of system calls; Localhost names a file of the node's.
      appArmorProfile: The AppArmor profile; any but Unconfined is refused in this version.
      seLinuxChangePolicy: How volumes get their SELinux label.
    SeccompProfile: SeccompProfile names a profile of seccomp or AppArmor.
      type: Unconfined; RuntimeDefault and Localhost are refused in this version.
      localhostProfile: The profile's file on the node, for Localhost.
    PodReadinessGate: PodReadinessGate names a condition.
      conditionType: The condition's type.
    PodSchedulingGate: PodSchedulingGate keeps a pod from being scheduled.
      name: The gate's name.
    PodOS: PodOS is the operating system of a pod.
      name: linux; others are refused.
    HostAlias: HostAlias is a line of /etc/hosts.
      ip: The address.
      hostnames: Its names.
    PodDNSConfig: PodDNSConfig adds to the resolver's configuration.
      nameservers: Addresses of servers.
      searches: Domains that are searched.
      options: Options of the resolver.
    PodDNSConfigOption: PodDNSConfigOption is one option of the resolver.
      name: The option.
      value: Its value.
    Toleration: Toleration lets a pod bear taints.
      key: The taint's key; absent with Exists: every taint.
      operator: Exists, or Equal, which compares the value; Equal when absent.
      value: The taint's value, for Equal.
      effect: NoSchedule, PreferNoSchedule or NoExecute; absent: every effect.
      tolerationSeconds: How long a NoExecute taint is borne; absent: for ever.
    TopologySpreadConstraint: TopologySpreadConstraint says how evenly pods are spread.
      maxSkew: How far the numbers of pods may differ.
      topologyKey: The label by which nodes are grouped.
      whenUnsatisfiable: DoNotSchedule waits, ScheduleAnyway only prefers.
      labelSelector: The pods that are counted.
      minDomains: How many groups there must be.
      nodeAffinityPolicy: Whether nodes that the pod cannot use count.
      nodeTaintsPolicy: Whether nodes whose taints the pod does not bear count.
      matchLabelKeys: Labels of the pod that choose the pods that are counted.
    Affinity: Affinity is rules about nodes and about other pods nearby.
      nodeAffinity: Rules about the node.
      podAffinity: Pods to be near to.
      podAntiAffinity: Pods to be away from.
    NodeAffinity: NodeAffinity is rules about the node.
      requiredDuringSchedulingIgnoredDuringExecution: Rules that must hold.
      preferredDuringSchedulingIgnoredDuringExecution: Rules that should hold.
    NodeSelector: NodeSelector chooses nodes; one of its terms must hold.
      nodeSelectorTerms: The terms.
    NodeSelectorTerm: NodeSelectorTerm is rules about a node that must all hold.
      matchExpressions: Rules about its labels.
      matchFields: Rules about its fields.
    PreferredSchedulingTerm: PreferredSchedulingTerm is a wish about the node.
      weight: What the wish weighs, 1 to 100.
      preference: The nodes that are wished for.
    PodAffinity: PodAffinity is rules about other pods nearby.
      requiredDuringSchedulingIgnoredDuringExecution: Rules that must hold.
      preferredDuringSchedulingIgnoredDuringExecution: Rules that should hold.
    PodAffinityTerm: PodAffinityTerm chooses pods and says what nearby means.
      labelSelector: The pods.
      namespaces: Their namespaces.
      topologyKey: Nodes with one value of this label are near each other.
      namespaceSelector: Namespaces by their labels.
      matchLabelKeys: Labels in which the pods must be equal.
      mismatchLabelKeys: Labels in which the pods must differ.
    WeightedPodAffinityTerm: WeightedPodAffinityTerm is a wish about other pods nearby.
      weight: What the wish weighs, 1 to 100.
      podAffinityTerm: The pods.
    """
}
