// Descriptions of a pod's status. Data, no behaviour.

extension Descriptions {
  static let status = """
    PodStatus: PodStatus is how a pod is, as its agent reports it.
      observedGeneration: The generation of the spec that the status is about; never set in this version.
      phase: Pending, Running, Succeeded or Failed.
      conditions: PodScheduled, Initialized, ContainersReady, Ready and, for a disturbed pod, DisruptionTarget.
      message: For people: why the pod is as it is.
      reason: One word on the same.
      nominatedNodeName: Where others end to make room for it.
      hostIP: The node's address.
      hostIPs: The node's addresses.
      podIP: The pod's address: its node's.
      podIPs: The pod's addresses.
      startTime: When the agent took the pod.
      initContainerStatuses: The init containers.
      containerStatuses: The containers.
      qosClass: Guaranteed, Burstable or BestEffort, by the requests and limits.
      ephemeralContainerStatuses: The containers that were added to the pod.
      resize: Never set: a pod keeps the resources that it was created with.
      resourceClaimStatuses: Never set: there are no claims.
      fencingToken: The number of the attempt that runs this pod; it rises with every attempt.
      extendedResourceClaimStatus: Never set: there are no claims.
      allocatedResources: Never set in this version.
      resources: Never set in this version.
    PodCondition: PodCondition is one aspect of a pod's state.
      type: The aspect, as Ready.
      observedGeneration: Never set in this version.
      status: True, False or Unknown.
      lastProbeTime: When the condition was last looked at.
      lastTransitionTime: When the status last became another one.
      reason: One word on why.
      message: The same for people.
    HostIP: HostIP is an address of the node.
      ip: The address.
    PodIP: PodIP is an address of the pod.
      ip: The address.
    ContainerStatus: ContainerStatus is how one container is.
      name: The container's name.
      state: What it does now.
      lastState: How it ended the last time.
      ready: Whether it runs.
      restartCount: How often it was started again.
      image: The image that the spec names.
      imageID: Always empty: no images are pulled.
      containerID: Never set: a container is a process of the node.
      started: Whether it was started.
      allocatedResources: Never set in this version.
      resources: Never set in this version.
      volumeMounts: Never set in this version.
      user: Never set in this version.
      allocatedResourcesStatus: Never set in this version.
      stopSignal: Never set in this version.
    ContainerState: ContainerState is what a container does; one of these.
      waiting: It has not started, and why.
      running: It runs.
      terminated: It has ended, and how.
    ContainerStateWaiting: ContainerStateWaiting is a container that has not started.
      reason: One word on what it waits for.
      message: The same for people.
    ContainerStateRunning: ContainerStateRunning is a container that runs.
      startedAt: Since when.
    ContainerStateTerminated: ContainerStateTerminated is a container that has ended.
      exitCode: The program's exit code; 128 and the signal's number when a signal ended it.
      signal: The signal that ended it.
      reason: Completed, Error or what else ended it.
      message: What the program left as its termination message.
      startedAt: When it was started.
      finishedAt: When it ended.
      containerID: Never set: a container is a process of the node.
    """
}
