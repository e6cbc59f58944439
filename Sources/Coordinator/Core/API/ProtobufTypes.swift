// The protobuf table: the public field numbers of what clients may send in protobuf, as Kubernetes 1.37 has them.
// One line a type, continued by indentation: `name=number:type`. `*`: a pointer in Kubernetes, or a field that its JSON
// always has: zero counts.
// `.`: a struct whose fields stand in its owner. `unserved`: known by name only.

extension Protobuf {
  static let metaTypes = """
    ObjectMeta = name=1:string generateName=2:string namespace=3:string selfLink=4:string uid=5:string
      resourceVersion=6:string generation=7:int64 creationTimestamp=8:time deletionTimestamp=9:time
      deletionGracePeriodSeconds=10:*int64 labels=11:{}string annotations=12:{}string
      ownerReferences=13:[]OwnerReference finalizers=14:[]string managedFields=17:[]ManagedFieldsEntry
    OwnerReference = kind=1:string name=3:string uid=4:string apiVersion=5:string controller=6:*bool
      blockOwnerDeletion=7:*bool
    ManagedFieldsEntry = manager=1:string operation=2:string apiVersion=3:string time=4:time fieldsType=6:string
      fieldsV1=7:fieldsV1 subresource=8:string
    LabelSelector = matchLabels=1:{}string matchExpressions=2:[]LabelSelectorRequirement
    LabelSelectorRequirement = key=1:string operator=2:string values=3:[]string
    LocalObjectReference = name=1:string
    ObjectReference = kind=1:string namespace=2:string name=3:string uid=4:string apiVersion=5:string
      resourceVersion=6:string fieldPath=7:string
    DeleteOptions = gracePeriodSeconds=1:*int64 preconditions=2:Preconditions orphanDependents=3:*bool
      propagationPolicy=4:*string dryRun=5:[]string ignoreStoreReadErrorWithClusterBreakingPotential=6:*bool
    Preconditions = uid=1:*string resourceVersion=2:*string
    """

  static let jobTypes = """
    Job = metadata=1:ObjectMeta spec=2:JobSpec status=3:JobStatus
    JobSpec = parallelism=1:*int32 completions=2:*int32 activeDeadlineSeconds=3:*int64 selector=4:LabelSelector
      manualSelector=5:*bool template=6:PodTemplateSpec backoffLimit=7:*int32 ttlSecondsAfterFinished=8:*int32
      completionMode=9:*string suspend=10:*bool podFailurePolicy=11:PodFailurePolicy backoffLimitPerIndex=12:*int32
      maxFailedIndexes=13:*int32 podReplacementPolicy=14:*string managedBy=15:*string successPolicy=16:SuccessPolicy
      scheduling=17:unserved
    PodFailurePolicy = rules=1:[]PodFailurePolicyRule
    PodFailurePolicyRule = action=1:string onExitCodes=2:PodFailurePolicyOnExitCodesRequirement
      onPodConditions=3:[]PodFailurePolicyOnPodConditionsPattern
    PodFailurePolicyOnExitCodesRequirement = containerName=1:*string operator=2:string values=3:[]int32
    PodFailurePolicyOnPodConditionsPattern = type=1:string status=2:string
    SuccessPolicy = rules=1:[]SuccessPolicyRule
    SuccessPolicyRule = succeededIndexes=1:*string succeededCount=2:*int32
    PodTemplateSpec = metadata=1:ObjectMeta spec=2:PodSpec
    JobStatus = conditions=1:[]JobCondition startTime=2:time completionTime=3:time active=4:int32 succeeded=5:int32
      failed=6:int32 completedIndexes=7:string uncountedTerminatedPods=8:UncountedTerminatedPods ready=9:*int32
      failedIndexes=10:*string terminating=11:*int32
    JobCondition = type=1:string status=2:string lastProbeTime=3:time lastTransitionTime=4:time reason=5:string
      message=6:string
    UncountedTerminatedPods = succeeded=1:[]string failed=2:[]string
    CronJob = metadata=1:ObjectMeta spec=2:CronJobSpec status=3:CronJobStatus
    CronJobSpec = schedule=1:string startingDeadlineSeconds=2:*int64 concurrencyPolicy=3:string suspend=4:*bool
      jobTemplate=5:JobTemplateSpec successfulJobsHistoryLimit=6:*int32 failedJobsHistoryLimit=7:*int32
      timeZone=8:*string
    JobTemplateSpec = metadata=1:ObjectMeta spec=2:JobSpec
    CronJobStatus = active=1:[]ObjectReference lastScheduleTime=4:time lastSuccessfulTime=5:time
    """

  static let podTypes = """
    Pod = metadata=1:ObjectMeta spec=2:PodSpec status=3:PodStatus
    PodSpec = volumes=1:[]Volume containers=2:[]Container restartPolicy=3:string terminationGracePeriodSeconds=4:*int64
      activeDeadlineSeconds=5:*int64 dnsPolicy=6:string nodeSelector=7:{}string serviceAccountName=8:string
      serviceAccount=9:string nodeName=10:string hostNetwork=11:bool hostPID=12:bool hostIPC=13:bool
      securityContext=14:PodSecurityContext imagePullSecrets=15:[]LocalObjectReference hostname=16:string
      subdomain=17:string affinity=18:Affinity schedulerName=19:string initContainers=20:[]Container
      automountServiceAccountToken=21:*bool tolerations=22:[]Toleration hostAliases=23:[]HostAlias
      priorityClassName=24:string priority=25:*int32 dnsConfig=26:PodDNSConfig shareProcessNamespace=27:*bool
      readinessGates=28:[]PodReadinessGate runtimeClassName=29:*string enableServiceLinks=30:*bool
      preemptionPolicy=31:*string overhead=32:{}quantity topologySpreadConstraints=33:[]TopologySpreadConstraint
      ephemeralContainers=34:[]EphemeralContainer setHostnameAsFQDN=35:*bool os=36:PodOS hostUsers=37:*bool
      schedulingGates=38:[]PodSchedulingGate resourceClaims=39:unserved resources=40:ResourceRequirements
      hostnameOverride=41:*string schedulingGroup=43:unserved evictionResponders=44:unserved
    PodSecurityContext = seLinuxOptions=1:unserved runAsUser=2:*int64 runAsNonRoot=3:*bool supplementalGroups=4:[]int64
      fsGroup=5:*int64 runAsGroup=6:*int64 sysctls=7:unserved windowsOptions=8:unserved fsGroupChangePolicy=9:*string
      seccompProfile=10:SeccompProfile appArmorProfile=11:SeccompProfile supplementalGroupsPolicy=12:*string
      seLinuxChangePolicy=13:*string
    SeccompProfile = type=1:string localhostProfile=2:*string
    SecurityContext = capabilities=1:Capabilities privileged=2:*bool seLinuxOptions=3:unserved runAsUser=4:*int64
      runAsNonRoot=5:*bool readOnlyRootFilesystem=6:*bool allowPrivilegeEscalation=7:*bool runAsGroup=8:*int64
      procMount=9:*string windowsOptions=10:unserved seccompProfile=11:SeccompProfile appArmorProfile=12:SeccompProfile
    Capabilities = add=1:[]string drop=2:[]string
    PodReadinessGate = conditionType=1:string
    PodSchedulingGate = name=1:string
    PodOS = name=1:string
    HostAlias = ip=1:string hostnames=2:[]string
    PodDNSConfig = nameservers=1:[]string searches=2:[]string options=3:[]PodDNSConfigOption
    PodDNSConfigOption = name=1:string value=2:*string
    Toleration = key=1:string operator=2:string value=3:string effect=4:string tolerationSeconds=5:*int64
    TopologySpreadConstraint = maxSkew=1:int32 topologyKey=2:string whenUnsatisfiable=3:string
      labelSelector=4:LabelSelector minDomains=5:*int32 nodeAffinityPolicy=6:*string nodeTaintsPolicy=7:*string
      matchLabelKeys=8:[]string
    Affinity = nodeAffinity=1:NodeAffinity podAffinity=2:PodAffinity podAntiAffinity=3:PodAffinity
    NodeAffinity = requiredDuringSchedulingIgnoredDuringExecution=1:NodeSelector
      preferredDuringSchedulingIgnoredDuringExecution=2:[]PreferredSchedulingTerm
    NodeSelector = nodeSelectorTerms=1:[]NodeSelectorTerm
    NodeSelectorTerm = matchExpressions=1:[]LabelSelectorRequirement matchFields=2:[]LabelSelectorRequirement
    PreferredSchedulingTerm = weight=1:int32 preference=2:NodeSelectorTerm
    PodAffinity = requiredDuringSchedulingIgnoredDuringExecution=1:[]PodAffinityTerm
      preferredDuringSchedulingIgnoredDuringExecution=2:[]WeightedPodAffinityTerm
    PodAffinityTerm = labelSelector=1:LabelSelector namespaces=2:[]string topologyKey=3:string
      namespaceSelector=4:LabelSelector matchLabelKeys=5:[]string mismatchLabelKeys=6:[]string
    WeightedPodAffinityTerm = weight=1:int32 podAffinityTerm=2:PodAffinityTerm
    Container = name=1:string image=2:string command=3:[]string args=4:[]string workingDir=5:string
      ports=6:[]ContainerPort env=7:[]EnvVar resources=8:ResourceRequirements volumeMounts=9:[]VolumeMount
      livenessProbe=10:Probe readinessProbe=11:Probe lifecycle=12:Lifecycle terminationMessagePath=13:string
      imagePullPolicy=14:string securityContext=15:SecurityContext stdin=16:bool stdinOnce=17:bool tty=18:bool
      envFrom=19:[]EnvFromSource terminationMessagePolicy=20:string volumeDevices=21:unserved startupProbe=22:Probe
      resizePolicy=23:[]ContainerResizePolicy restartPolicy=24:*string restartPolicyRules=25:[]ContainerRestartRule
    EphemeralContainer = .=1:Container targetContainerName=2:string
    ContainerRestartRule = action=1:string exitCodes=2:ContainerRestartRuleOnExitCodes
    ContainerRestartRuleOnExitCodes = operator=1:string values=2:[]int32
    ContainerResizePolicy = resourceName=1:string restartPolicy=2:string
    ContainerPort = name=1:string hostPort=2:int32 containerPort=3:int32 protocol=4:string hostIP=5:string
    EnvFromSource = prefix=1:string configMapRef=2:ConfigMapEnvSource secretRef=3:SecretEnvSource
    ConfigMapEnvSource = .=1:LocalObjectReference optional=2:*bool
    SecretEnvSource = .=1:LocalObjectReference optional=2:*bool
    EnvVar = name=1:string value=2:string valueFrom=3:EnvVarSource
    EnvVarSource = fieldRef=1:ObjectFieldSelector resourceFieldRef=2:ResourceFieldSelector
      configMapKeyRef=3:ConfigMapKeySelector secretKeyRef=4:SecretKeySelector fileKeyRef=5:unserved
    ObjectFieldSelector = apiVersion=1:string fieldPath=2:string
    ResourceFieldSelector = containerName=1:string resource=2:string divisor=3:quantity
    ConfigMapKeySelector = .=1:LocalObjectReference key=2:string optional=3:*bool
    SecretKeySelector = .=1:LocalObjectReference key=2:string optional=3:*bool
    ResourceRequirements = limits=1:{}quantity requests=2:{}quantity claims=3:unserved
    VolumeMount = name=1:string readOnly=2:bool mountPath=3:string subPath=4:string mountPropagation=5:*string
      subPathExpr=6:string recursiveReadOnly=7:*string bindMountOptions=8:[]string
    Probe = .=1:ProbeHandler initialDelaySeconds=2:int32 timeoutSeconds=3:int32 periodSeconds=4:int32
      successThreshold=5:int32 failureThreshold=6:int32 terminationGracePeriodSeconds=7:*int64
    ProbeHandler = exec=1:ExecAction httpGet=2:HTTPGetAction tcpSocket=3:TCPSocketAction grpc=4:GRPCAction
    Lifecycle = postStart=1:LifecycleHandler preStop=2:LifecycleHandler stopSignal=3:*string
    LifecycleHandler = exec=1:ExecAction httpGet=2:HTTPGetAction tcpSocket=3:TCPSocketAction sleep=4:SleepAction
    ExecAction = command=1:[]string
    HTTPGetAction = path=1:string port=2:intOrString host=3:string scheme=4:string httpHeaders=5:[]HTTPHeader
      protocol=6:*string
    HTTPHeader = name=1:string value=2:*string
    TCPSocketAction = port=1:intOrString host=2:string
    GRPCAction = port=1:int32 service=2:*string mode=3:*string
    SleepAction = seconds=1:*int64
    """

  static let volumeTypes = """
    Volume = name=1:string .=2:VolumeSource
    VolumeSource = hostPath=1:HostPathVolumeSource emptyDir=2:EmptyDirVolumeSource gcePersistentDisk=3:unserved
      awsElasticBlockStore=4:unserved gitRepo=5:unserved secret=6:SecretVolumeSource nfs=7:unserved iscsi=8:unserved
      glusterfs=9:unserved persistentVolumeClaim=10:PersistentVolumeClaimVolumeSource
      rbd=11:unserved flexVolume=12:unserved cinder=13:unserved
      cephfs=14:unserved flocker=15:unserved downwardAPI=16:DownwardAPIVolumeSource fc=17:unserved azureFile=18:unserved
      configMap=19:ConfigMapVolumeSource vsphereVolume=20:unserved quobyte=21:unserved azureDisk=22:unserved
      photonPersistentDisk=23:unserved portworxVolume=24:unserved scaleIO=25:unserved projected=26:ProjectedVolumeSource
      storageos=27:unserved csi=28:unserved ephemeral=29:EphemeralVolumeSource image=30:unserved
    ConfigMapVolumeSource = .=1:LocalObjectReference items=2:[]KeyToPath defaultMode=3:*int32 optional=4:*bool
      defaultUser=5:*int64
    SecretVolumeSource = secretName=1:string items=2:[]KeyToPath defaultMode=3:*int32 optional=4:*bool
      defaultUser=5:*int64
    KeyToPath = key=1:string path=2:string mode=3:*int32 user=4:*int64
    EmptyDirVolumeSource = medium=1:string sizeLimit=2:quantity mode=3:*int32
    HostPathVolumeSource = path=1:string type=2:*string
    DownwardAPIVolumeSource = items=1:[]DownwardAPIVolumeFile defaultMode=2:*int32 defaultUser=3:*int64
    DownwardAPIVolumeFile = path=1:string fieldRef=2:ObjectFieldSelector resourceFieldRef=3:ResourceFieldSelector
      mode=4:*int32 user=5:*int64
    ProjectedVolumeSource = sources=1:[]VolumeProjection defaultMode=2:*int32 defaultUser=3:*int64
    VolumeProjection = secret=1:SecretProjection downwardAPI=2:DownwardAPIProjection configMap=3:ConfigMapProjection
      serviceAccountToken=4:ServiceAccountTokenProjection clusterTrustBundle=5:unserved podCertificate=6:unserved
    SecretProjection = .=1:LocalObjectReference items=2:[]KeyToPath optional=4:*bool
    ConfigMapProjection = .=1:LocalObjectReference items=2:[]KeyToPath optional=4:*bool
    DownwardAPIProjection = items=1:[]DownwardAPIVolumeFile
    ServiceAccountTokenProjection = audience=1:string expirationSeconds=2:*int64 path=3:string user=4:*int64
    """

  static let statusTypes = """
    PodStatus = phase=1:string conditions=2:[]PodCondition message=3:string reason=4:string hostIP=5:string
      podIP=6:string startTime=7:time containerStatuses=8:[]ContainerStatus qosClass=9:string
      initContainerStatuses=10:[]ContainerStatus nominatedNodeName=11:string podIPs=12:[]PodIP
      ephemeralContainerStatuses=13:[]ContainerStatus resize=14:string resourceClaimStatuses=15:unserved
      hostIPs=16:[]HostIP observedGeneration=17:int64 extendedResourceClaimStatus=18:unserved
      allocatedResources=19:{}quantity resources=20:ResourceRequirements
      nodeAllocatableResourceClaimStatuses=21:unserved volumeHealth=22:unserved
    PodCondition = type=1:string status=2:string lastProbeTime=3:time lastTransitionTime=4:time reason=5:string
      message=6:string observedGeneration=7:int64
    HostIP = ip=1:string
    PodIP = ip=1:string
    ContainerStatus = name=1:string state=2:ContainerState lastState=3:ContainerState ready=4:bool restartCount=5:int32
      image=6:string imageID=7:string containerID=8:string started=9:*bool allocatedResources=10:{}quantity
      resources=11:unserved volumeMounts=12:unserved user=13:unserved allocatedResourcesStatus=14:unserved
      stopSignal=15:*string
    ContainerState = waiting=1:ContainerStateWaiting running=2:ContainerStateRunning
      terminated=3:ContainerStateTerminated
    ContainerStateWaiting = reason=1:string message=2:string
    ContainerStateRunning = startedAt=1:time
    ContainerStateTerminated = exitCode=1:int32 signal=2:int32 reason=3:string message=4:string startedAt=5:time
      finishedAt=6:time containerID=7:string
    """

  static let otherTypes = """
    Namespace = metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus
    NamespaceSpec = finalizers=1:[]string
    NamespaceStatus = phase=1:string conditions=2:[]NamespaceCondition
    NamespaceCondition = type=1:string status=2:string lastTransitionTime=4:time reason=5:string message=6:string
    ConfigMap = metadata=1:ObjectMeta data=2:{}string binaryData=3:{}bytes immutable=4:*bool
    Secret = metadata=1:ObjectMeta data=2:{}bytes type=3:string stringData=4:{}string immutable=5:*bool
    ServiceAccount = metadata=1:ObjectMeta secrets=2:[]ObjectReference imagePullSecrets=3:[]LocalObjectReference
      automountServiceAccountToken=4:*bool
    PriorityClass = metadata=1:ObjectMeta value=2:*int32 globalDefault=3:bool description=4:string
      preemptionPolicy=5:*string
    Lease = metadata=1:ObjectMeta spec=2:LeaseSpec
    LeaseSpec = holderIdentity=1:*string leaseDurationSeconds=2:*int32 acquireTime=3:microTime renewTime=4:microTime
      leaseTransitions=5:*int32 strategy=6:*string preferredHolder=7:*string
    Event = metadata=1:ObjectMeta involvedObject=2:ObjectReference reason=3:string message=4:string source=5:EventSource
      firstTimestamp=6:time lastTimestamp=7:time count=8:int32 type=9:string eventTime=10:microTime
      series=11:EventSeries action=12:string related=13:ObjectReference reportingComponent=14:string
      reportingInstance=15:string
    EventSource = component=1:string host=2:string
    EventSeries = count=1:int32 lastObservedTime=2:microTime
    EventsEvent = metadata=1:ObjectMeta eventTime=2:microTime series=3:EventSeries reportingController=4:string
      reportingInstance=5:string action=6:string reason=7:string regarding=8:ObjectReference related=9:ObjectReference
      note=10:string type=11:string deprecatedSource=12:EventSource deprecatedFirstTimestamp=13:time
      deprecatedLastTimestamp=14:time deprecatedCount=15:int32
    ResourceQuota = metadata=1:ObjectMeta spec=2:ResourceQuotaSpec status=3:ResourceQuotaStatus
    ResourceQuotaSpec = hard=1:{}quantity scopes=2:[]string scopeSelector=3:ScopeSelector
    ScopeSelector = matchExpressions=1:[]ScopedResourceSelectorRequirement
    ScopedResourceSelectorRequirement = scopeName=1:*string operator=2:*string values=3:[]string
    ResourceQuotaStatus = hard=1:{}quantity used=2:{}quantity
    LimitRange = metadata=1:ObjectMeta spec=2:LimitRangeSpec
    LimitRangeSpec = limits=1:[]LimitRangeItem
    LimitRangeItem = type=1:*string max=2:{}quantity min=3:{}quantity default=4:{}quantity defaultRequest=5:{}quantity
      maxLimitRequestRatio=6:{}quantity
    PodDisruptionBudget = metadata=1:ObjectMeta spec=2:PodDisruptionBudgetSpec status=3:PodDisruptionBudgetStatus
    PodDisruptionBudgetSpec = minAvailable=1:intOrString selector=2:LabelSelector maxUnavailable=3:intOrString
      unhealthyPodEvictionPolicy=4:*string
    PodDisruptionBudgetStatus = observedGeneration=1:int64 disruptedPods=2:{}time disruptionsAllowed=3:*int32
      currentHealthy=4:*int32 desiredHealthy=5:*int32 expectedPods=6:*int32 conditions=7:[]Condition
    Eviction = metadata=1:ObjectMeta deleteOptions=2:DeleteOptions
    """

  static let nodeTypes = """
    Node = metadata=1:ObjectMeta spec=2:NodeSpec status=3:NodeStatus
    NodeSpec = podCIDR=1:string externalID=2:string providerID=3:string unschedulable=4:bool taints=5:[]Taint
      configSource=6:unserved podCIDRs=7:[]string
    Taint = key=1:string value=2:string effect=3:string timeAdded=4:time
    NodeStatus = capacity=1:{}quantity allocatable=2:{}quantity phase=3:string conditions=4:[]NodeCondition
      addresses=5:[]NodeAddress daemonEndpoints=6:NodeDaemonEndpoints nodeInfo=7:NodeSystemInfo
      images=8:[]ContainerImage volumesInUse=9:[]string volumesAttached=10:[]AttachedVolume
      config=11:unserved runtimeHandlers=12:unserved
      features=13:unserved
    NodeCondition = type=1:string status=2:string lastHeartbeatTime=3:time lastTransitionTime=4:time reason=5:string
      message=6:string
    NodeAddress = type=1:string address=2:string
    NodeDaemonEndpoints = kubeletEndpoint=1:DaemonEndpoint
    DaemonEndpoint = Port=1:*int32
    NodeSystemInfo = machineID=1:*string systemUUID=2:*string bootID=3:*string kernelVersion=4:*string osImage=5:*string
      containerRuntimeVersion=6:*string kubeletVersion=7:*string kubeProxyVersion=8:*string operatingSystem=9:*string
      architecture=10:*string swap=11:unserved
    ContainerImage = names=1:[]string sizeBytes=2:int64
    AttachedVolume = name=1:string devicePath=2:string
    """

  static let serviceTypes = """
    Service = metadata=1:ObjectMeta spec=2:ServiceSpec status=3:ServiceStatus
    ServiceSpec = ports=1:[]ServicePort selector=2:{}string clusterIP=3:string type=4:string externalIPs=5:[]string
      sessionAffinity=7:string loadBalancerIP=8:string loadBalancerSourceRanges=9:[]string externalName=10:string
      externalTrafficPolicy=11:string healthCheckNodePort=12:int32 publishNotReadyAddresses=13:bool
      sessionAffinityConfig=14:SessionAffinityConfig ipFamilyPolicy=17:*string clusterIPs=18:[]string
      ipFamilies=19:[]string allocateLoadBalancerNodePorts=20:*bool loadBalancerClass=21:*string
      internalTrafficPolicy=22:*string trafficDistribution=23:*string
    ServicePort = name=1:string protocol=2:string port=3:int32 targetPort=4:intOrString nodePort=5:int32
      appProtocol=6:*string
    SessionAffinityConfig = clientIP=1:ClientIPConfig
    ClientIPConfig = timeoutSeconds=1:*int32
    ServiceStatus = loadBalancer=1:LoadBalancerStatus conditions=2:[]Condition
    LoadBalancerStatus = ingress=1:[]LoadBalancerIngress
    LoadBalancerIngress = ip=1:string hostname=2:string ipMode=3:*string ports=4:[]PortStatus
    PortStatus = port=1:int32 protocol=2:string error=3:*string
    Condition = type=1:*string status=2:*string observedGeneration=3:int64 lastTransitionTime=4:time reason=5:*string
      message=6:*string
    """

  static let reviewTypes = """
    TokenRequest = metadata=1:ObjectMeta spec=2:TokenRequestSpec status=3:TokenRequestStatus
    TokenRequestSpec = audiences=1:[]string boundObjectRef=3:BoundObjectReference expirationSeconds=4:*int64
    BoundObjectReference = kind=1:string apiVersion=2:string name=3:string uid=4:string
    TokenRequestStatus = token=1:string expirationTimestamp=2:time
    TokenReview = metadata=1:ObjectMeta spec=2:TokenReviewSpec status=3:TokenReviewStatus
    TokenReviewSpec = token=1:string audiences=2:[]string
    TokenReviewStatus = authenticated=1:bool user=2:UserInfo error=3:string audiences=4:[]string
    SelfSubjectAccessReview = metadata=1:ObjectMeta spec=2:SelfSubjectAccessReviewSpec
      status=3:SubjectAccessReviewStatus
    SelfSubjectAccessReviewSpec = resourceAttributes=1:ResourceAttributes nonResourceAttributes=2:NonResourceAttributes
    ResourceAttributes = namespace=1:string verb=2:string group=3:string version=4:string resource=5:string
      subresource=6:string name=7:string fieldSelector=8:FieldSelectorAttributes labelSelector=9:LabelSelectorAttributes
    FieldSelectorAttributes = rawSelector=1:string requirements=2:[]FieldSelectorRequirement
    FieldSelectorRequirement = key=1:string operator=2:string values=3:[]string
    LabelSelectorAttributes = rawSelector=1:string requirements=2:[]LabelSelectorRequirement
    NonResourceAttributes = path=1:string verb=2:string
    SubjectAccessReviewStatus = allowed=1:bool reason=2:string evaluationError=3:string denied=4:bool
    SubjectAccessReview = metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
    LocalSubjectAccessReview = metadata=1:ObjectMeta spec=2:SubjectAccessReviewSpec status=3:SubjectAccessReviewStatus
    SubjectAccessReviewSpec = resourceAttributes=1:ResourceAttributes nonResourceAttributes=2:NonResourceAttributes
      user=3:string groups=4:[]string extra=5:unserved uid=6:string
    SelfSubjectRulesReview = metadata=1:ObjectMeta spec=2:SelfSubjectRulesReviewSpec status=3:SubjectRulesReviewStatus
    SelfSubjectRulesReviewSpec = namespace=1:string
    SubjectRulesReviewStatus = resourceRules=1:[]ResourceRule nonResourceRules=2:[]NonResourceRule incomplete=3:bool
      evaluationError=4:string
    ResourceRule = verbs=1:[]string apiGroups=2:[]string resources=3:[]string resourceNames=4:[]string
    NonResourceRule = verbs=1:[]string nonResourceURLs=2:[]string
    SelfSubjectReview = metadata=1:ObjectMeta status=2:SelfSubjectReviewStatus
    SelfSubjectReviewStatus = userInfo=1:UserInfo
    UserInfo = username=1:string uid=2:string groups=3:[]string extra=4:unserved
    """
}
