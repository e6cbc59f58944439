// The schema table: batch/v1 Job and core/v1 Pod, as Kubernetes 1.36 knows them. One line a type, continued by
// indentation.
// `~` after a type: known and kept, not honoured. `!`: refused by name. Rules that depend on a value are in
// Honesty.swift. `+Name` stands for the fields of that type above; what follows goes before them.

extension Schema {
  static let metaTypes = """
    ObjectMeta = name:string generateName:string namespace:string selfLink:string uid:string resourceVersion:string
      generation:int64 creationTimestamp:time deletionTimestamp:time deletionGracePeriodSeconds:int64 labels:{}string
      annotations:{}string ownerReferences:[]OwnerReference finalizers:[]string managedFields:[]ManagedFieldsEntry
    OwnerReference = apiVersion:string kind:string name:string uid:string controller:bool blockOwnerDeletion:bool
    ManagedFieldsEntry = manager:string operation:string apiVersion:string time:time fieldsType:string fieldsV1:any
      subresource:string
    LabelSelector = matchLabels:{}string matchExpressions:[]LabelSelectorRequirement
    LabelSelectorRequirement = key:string operator:string values:[]string
    Condition = type:string status:string observedGeneration:int64 lastTransitionTime:time reason:string message:string
    LocalObjectReference = name:string
    ObjectReference = kind:string namespace:string name:string uid:string apiVersion:string resourceVersion:string
      fieldPath:string
    """

  static let jobTypes = """
    Job = apiVersion:string kind:string metadata:ObjectMeta spec:JobSpec status:JobStatus
    JobSpec = parallelism:int32 completions:int32 activeDeadlineSeconds:int64 podFailurePolicy:PodFailurePolicy
      successPolicy:SuccessPolicy backoffLimit:int32 backoffLimitPerIndex:int32 maxFailedIndexes:int32
      selector:LabelSelector manualSelector:bool template:PodTemplateSpec ttlSecondsAfterFinished:int32
      completionMode:string suspend:bool podReplacementPolicy:string managedBy:string scheduling:any~
    PodFailurePolicy = rules:[]PodFailurePolicyRule
    PodFailurePolicyRule = action:string onExitCodes:PodFailurePolicyOnExitCodesRequirement
      onPodConditions:[]PodFailurePolicyOnPodConditionsPattern
    PodFailurePolicyOnExitCodesRequirement = containerName:string operator:string values:[]int32
    PodFailurePolicyOnPodConditionsPattern = type:string status:string
    SuccessPolicy = rules:[]SuccessPolicyRule
    SuccessPolicyRule = succeededIndexes:string succeededCount:int32
    PodTemplateSpec = metadata:ObjectMeta spec:PodSpec
    JobStatus = conditions:[]JobCondition startTime:time completionTime:time active:int32 succeeded:int32 failed:int32
      terminating:int32 completedIndexes:string failedIndexes:string uncountedTerminatedPods:UncountedTerminatedPods
      ready:int32
    JobCondition = type:string status:string lastProbeTime:time lastTransitionTime:time reason:string message:string
    UncountedTerminatedPods = succeeded:[]string failed:[]string
    CronJob = apiVersion:string kind:string metadata:ObjectMeta spec:CronJobSpec status:CronJobStatus
    CronJobSpec = schedule:string timeZone:string startingDeadlineSeconds:int64 concurrencyPolicy:string suspend:bool
      jobTemplate:JobTemplateSpec successfulJobsHistoryLimit:int32 failedJobsHistoryLimit:int32
    JobTemplateSpec = metadata:ObjectMeta spec:JobSpec
    CronJobStatus = active:[]ObjectReference lastScheduleTime:time lastSuccessfulTime:time
    """

  static let podTypes = """
    Pod = apiVersion:string kind:string metadata:ObjectMeta spec:PodSpec status:PodStatus
    PodSpec = volumes:[]Volume initContainers:[]Container containers:[]Container
      ephemeralContainers:[]EphemeralContainer
      restartPolicy:string terminationGracePeriodSeconds:int64 activeDeadlineSeconds:int64 dnsPolicy:string
      nodeSelector:{}string serviceAccountName:string serviceAccount:string automountServiceAccountToken:bool
      nodeName:string hostNetwork:bool hostPID:bool hostIPC:bool shareProcessNamespace:bool
      securityContext:PodSecurityContext imagePullSecrets:[]LocalObjectReference hostname:string subdomain:string
      affinity:Affinity schedulerName:string tolerations:[]Toleration hostAliases:[]HostAlias priorityClassName:string
      priority:int32 dnsConfig:PodDNSConfig readinessGates:[]PodReadinessGate~ runtimeClassName:string!
      enableServiceLinks:bool preemptionPolicy:string overhead:{}quantity~
      topologySpreadConstraints:[]TopologySpreadConstraint setHostnameAsFQDN:bool~ os:PodOS hostUsers:bool
      schedulingGates:[]PodSchedulingGate resourceClaims:[]any! resources:ResourceRequirements!
      hostnameOverride:string~
      workloadRef:any! schedulingGroup:any!
    PodSecurityContext = seLinuxOptions:any! windowsOptions:any! runAsUser:int64 runAsGroup:int64 runAsNonRoot:bool
      supplementalGroups:[]int64 supplementalGroupsPolicy:string fsGroup:int64 sysctls:[]any!
      fsGroupChangePolicy:string seccompProfile:SeccompProfile appArmorProfile:SeccompProfile
      seLinuxChangePolicy:string~
    SeccompProfile = type:string localhostProfile:string!
    SecurityContext = capabilities:Capabilities privileged:bool seLinuxOptions:any! windowsOptions:any!
      runAsUser:int64 runAsGroup:int64 runAsNonRoot:bool readOnlyRootFilesystem:bool
      allowPrivilegeEscalation:bool procMount:string seccompProfile:SeccompProfile appArmorProfile:SeccompProfile
    Capabilities = add:[]string drop:[]string
    PodReadinessGate = conditionType:string
    PodSchedulingGate = name:string
    PodOS = name:string
    HostAlias = ip:string hostnames:[]string
    PodDNSConfig = nameservers:[]string searches:[]string options:[]PodDNSConfigOption
    PodDNSConfigOption = name:string value:string
    Toleration = key:string operator:string value:string effect:string tolerationSeconds:int64
    TopologySpreadConstraint = maxSkew:int32 topologyKey:string whenUnsatisfiable:string labelSelector:LabelSelector
      minDomains:int32 nodeAffinityPolicy:string nodeTaintsPolicy:string matchLabelKeys:[]string
    Affinity = nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAffinity
    NodeAffinity = requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
      preferredDuringSchedulingIgnoredDuringExecution:[]PreferredSchedulingTerm
    NodeSelector = nodeSelectorTerms:[]NodeSelectorTerm
    NodeSelectorTerm = matchExpressions:[]LabelSelectorRequirement matchFields:[]LabelSelectorRequirement
    PreferredSchedulingTerm = weight:int32 preference:NodeSelectorTerm
    PodAffinity = requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
      preferredDuringSchedulingIgnoredDuringExecution:[]WeightedPodAffinityTerm
    PodAffinityTerm = labelSelector:LabelSelector namespaces:[]string topologyKey:string
      namespaceSelector:LabelSelector matchLabelKeys:[]string mismatchLabelKeys:[]string
    WeightedPodAffinityTerm = weight:int32 podAffinityTerm:PodAffinityTerm
    Container = name:string image:string command:[]string args:[]string workingDir:string ports:[]ContainerPort
      envFrom:[]EnvFromSource env:[]EnvVar resources:ResourceRequirements resizePolicy:[]any~ restartPolicy:string
      restartPolicyRules:[]ContainerRestartRule volumeMounts:[]VolumeMount volumeDevices:[]any! livenessProbe:Probe
      readinessProbe:Probe startupProbe:Probe lifecycle:Lifecycle terminationMessagePath:string
      terminationMessagePolicy:string imagePullPolicy:string securityContext:SecurityContext stdin:bool
      stdinOnce:bool tty:bool
    EphemeralContainer = +Container targetContainerName:string ports:[]ContainerPort! resources:ResourceRequirements!
      resizePolicy:[]any! restartPolicy:string! restartPolicyRules:[]ContainerRestartRule! livenessProbe:Probe!
      readinessProbe:Probe! startupProbe:Probe! lifecycle:Lifecycle!
    ContainerRestartRule = action:string exitCodes:ContainerRestartRuleOnExitCodes
    ContainerRestartRuleOnExitCodes = operator:string values:[]int32
    ContainerPort = name:string hostPort:int32 containerPort:int32 protocol:string hostIP:string
    EnvFromSource = prefix:string configMapRef:ConfigMapEnvSource secretRef:SecretEnvSource
    ConfigMapEnvSource = name:string optional:bool
    SecretEnvSource = name:string optional:bool
    EnvVar = name:string value:string valueFrom:EnvVarSource
    EnvVarSource = fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector
      configMapKeyRef:ConfigMapKeySelector secretKeyRef:SecretKeySelector fileKeyRef:any!
    ObjectFieldSelector = apiVersion:string fieldPath:string
    ResourceFieldSelector = containerName:string resource:string divisor:quantity
    ConfigMapKeySelector = name:string key:string optional:bool
    SecretKeySelector = name:string key:string optional:bool
    ResourceRequirements = limits:{}quantity requests:{}quantity claims:[]any!
    VolumeMount = name:string readOnly:bool recursiveReadOnly:string mountPath:string subPath:string
      mountPropagation:string~ subPathExpr:string
    Probe = exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction! initialDelaySeconds:int32
      timeoutSeconds:int32 periodSeconds:int32 successThreshold:int32 failureThreshold:int32
      terminationGracePeriodSeconds:int64
    Lifecycle = postStart:LifecycleHandler preStop:LifecycleHandler stopSignal:string
    LifecycleHandler = exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction sleep:SleepAction
    ExecAction = command:[]string
    HTTPGetAction = path:string port:intOrString host:string scheme:string httpHeaders:[]HTTPHeader
    HTTPHeader = name:string value:string
    TCPSocketAction = port:intOrString host:string
    GRPCAction = port:int32 service:string
    SleepAction = seconds:int64
    """

  static let volumeTypes = """
    Volume = name:string configMap:ConfigMapVolumeSource secret:SecretVolumeSource emptyDir:EmptyDirVolumeSource
      hostPath:HostPathVolumeSource downwardAPI:DownwardAPIVolumeSource projected:ProjectedVolumeSource
      awsElasticBlockStore:any! azureDisk:any! azureFile:any! cephfs:any! cinder:any! csi:any!
      ephemeral:EphemeralVolumeSource fc:any! flexVolume:any! flocker:any!
      gcePersistentDisk:any! gitRepo:any! glusterfs:any! image:any! iscsi:any! nfs:any!
      persistentVolumeClaim:PersistentVolumeClaimVolumeSource photonPersistentDisk:any! portworxVolume:any!
      quobyte:any! rbd:any! scaleIO:any! storageos:any! vsphereVolume:any!
    ConfigMapVolumeSource = name:string items:[]KeyToPath defaultMode:int32 optional:bool
    SecretVolumeSource = secretName:string items:[]KeyToPath defaultMode:int32 optional:bool
    KeyToPath = key:string path:string mode:int32
    DownwardAPIVolumeSource = items:[]DownwardAPIVolumeFile defaultMode:int32
    DownwardAPIVolumeFile = path:string fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector mode:int32
    ProjectedVolumeSource = sources:[]VolumeProjection defaultMode:int32
    VolumeProjection = secret:SecretProjection downwardAPI:DownwardAPIProjection configMap:ConfigMapProjection
      serviceAccountToken:ServiceAccountTokenProjection clusterTrustBundle:any! podCertificate:any!
    SecretProjection = name:string items:[]KeyToPath optional:bool
    ConfigMapProjection = name:string items:[]KeyToPath optional:bool
    DownwardAPIProjection = items:[]DownwardAPIVolumeFile
    ServiceAccountTokenProjection = audience:string expirationSeconds:int64 path:string
    EmptyDirVolumeSource = medium:string sizeLimit:quantity
    HostPathVolumeSource = path:string type:string
    PersistentVolumeClaimVolumeSource = claimName:string readOnly:bool
    EphemeralVolumeSource = volumeClaimTemplate:PersistentVolumeClaimTemplate
    PersistentVolumeClaimTemplate = metadata:ObjectMeta spec:PersistentVolumeClaimSpec
    """

  static let statusTypes = """
    PodStatus = observedGeneration:int64 phase:string conditions:[]PodCondition message:string reason:string
      nominatedNodeName:string hostIP:string hostIPs:[]HostIP podIP:string podIPs:[]PodIP startTime:time
      initContainerStatuses:[]ContainerStatus containerStatuses:[]ContainerStatus qosClass:string
      ephemeralContainerStatuses:[]ContainerStatus resize:string resourceClaimStatuses:[]any fencingToken:int64
      extendedResourceClaimStatus:any allocatedResources:any resources:any
    PodCondition = type:string observedGeneration:int64 status:string lastProbeTime:time lastTransitionTime:time
      reason:string message:string
    HostIP = ip:string
    PodIP = ip:string
    ContainerStatus = name:string state:ContainerState lastState:ContainerState ready:bool restartCount:int32
      image:string imageID:string containerID:string started:bool allocatedResources:{}quantity resources:any
      volumeMounts:[]any user:any allocatedResourcesStatus:[]any stopSignal:string
    ContainerState = waiting:ContainerStateWaiting running:ContainerStateRunning terminated:ContainerStateTerminated
    ContainerStateWaiting = reason:string message:string
    ContainerStateRunning = startedAt:time
    ContainerStateTerminated = exitCode:int32 signal:int32 reason:string message:string startedAt:time finishedAt:time
      containerID:string
    """

  static let otherTypes = """
    Namespace = apiVersion:string kind:string metadata:ObjectMeta spec:NamespaceSpec status:NamespaceStatus
    NamespaceSpec = finalizers:[]string
    NamespaceStatus = phase:string conditions:[]NamespaceCondition
    NamespaceCondition = type:string status:string lastTransitionTime:time reason:string message:string
    ConfigMap = apiVersion:string kind:string metadata:ObjectMeta immutable:bool data:{}string binaryData:{}bytes
    Secret = apiVersion:string kind:string metadata:ObjectMeta immutable:bool data:{}bytes stringData:{}string
      type:string
    ServiceAccount = apiVersion:string kind:string metadata:ObjectMeta secrets:[]ObjectReference
      imagePullSecrets:[]LocalObjectReference automountServiceAccountToken:bool
    Service = apiVersion:string kind:string metadata:ObjectMeta spec:ServiceSpec status:ServiceStatus
    ServiceSpec = ports:[]ServicePort selector:{}string clusterIP:string clusterIPs:[]string type:string
      externalIPs:[]string sessionAffinity:string sessionAffinityConfig:SessionAffinityConfig loadBalancerIP:string
      loadBalancerSourceRanges:[]string loadBalancerClass:string allocateLoadBalancerNodePorts:bool externalName:string
      externalTrafficPolicy:string internalTrafficPolicy:string healthCheckNodePort:int32
      publishNotReadyAddresses:bool ipFamilies:[]string ipFamilyPolicy:string trafficDistribution:string
    ServicePort = name:string protocol:string appProtocol:string port:int32 targetPort:intOrString nodePort:int32
    SessionAffinityConfig = clientIP:ClientIPConfig
    ClientIPConfig = timeoutSeconds:int32
    ServiceStatus = loadBalancer:LoadBalancerStatus conditions:[]Condition
    LoadBalancerStatus = ingress:[]LoadBalancerIngress
    LoadBalancerIngress = ip:string hostname:string ipMode:string ports:[]PortStatus
    PortStatus = port:int32 protocol:string error:string
    Lease = apiVersion:string kind:string metadata:ObjectMeta spec:LeaseSpec
    LeaseSpec = holderIdentity:string leaseDurationSeconds:int32 acquireTime:time renewTime:time leaseTransitions:int32
      strategy:string preferredHolder:string
    PriorityClass = apiVersion:string kind:string metadata:ObjectMeta value:int32 globalDefault:bool description:string
      preemptionPolicy:string
    Queue = apiVersion:string kind:string metadata:ObjectMeta spec:QueueSpec status:QueueStatus
    QueueSpec = priority:int32 limits:{}quantity weights:{}int32
    QueueStatus = waiting:int32 running:int32 used:{}quantity
    Node = apiVersion:string kind:string metadata:ObjectMeta spec:NodeSpec status:NodeStatus
    NodeSpec = podCIDR:string podCIDRs:[]string providerID:string unschedulable:bool taints:[]Taint configSource:any
      externalID:string
    Taint = key:string value:string effect:string timeAdded:time
    NodeStatus = capacity:{}quantity allocatable:{}quantity phase:string conditions:[]NodeCondition
      addresses:[]NodeAddress daemonEndpoints:any nodeInfo:{}any images:[]any volumesInUse:[]string
      volumesAttached:[]any
      config:any runtimeHandlers:[]any features:any declaredFeatures:[]string
    NodeCondition = type:string status:string lastHeartbeatTime:time lastTransitionTime:time reason:string
      message:string
    NodeAddress = type:string address:string
    Event = apiVersion:string kind:string metadata:ObjectMeta involvedObject:ObjectReference reason:string
      message:string source:EventSource firstTimestamp:time lastTimestamp:time count:int32 type:string eventTime:time
      series:EventSeries action:string related:ObjectReference reportingComponent:string reportingInstance:string
    EventSource = component:string host:string
    EventSeries = count:int32 lastObservedTime:time
    EventsEvent = apiVersion:string kind:string metadata:ObjectMeta eventTime:time series:EventSeries
      reportingController:string reportingInstance:string action:string reason:string regarding:ObjectReference
      related:ObjectReference note:string type:string deprecatedSource:EventSource deprecatedFirstTimestamp:time
      deprecatedLastTimestamp:time deprecatedCount:int32
    ResourceQuota = apiVersion:string kind:string metadata:ObjectMeta spec:ResourceQuotaSpec status:ResourceQuotaStatus
    ResourceQuotaSpec = hard:{}quantity scopes:[]string scopeSelector:ScopeSelector
    ScopeSelector = matchExpressions:[]ScopedResourceSelectorRequirement
    ScopedResourceSelectorRequirement = scopeName:string operator:string values:[]string
    ResourceQuotaStatus = hard:{}quantity used:{}quantity
    LimitRange = apiVersion:string kind:string metadata:ObjectMeta spec:LimitRangeSpec
    LimitRangeSpec = limits:[]LimitRangeItem
    LimitRangeItem = type:string max:{}quantity min:{}quantity default:{}quantity defaultRequest:{}quantity
      maxLimitRequestRatio:{}quantity
    PodDisruptionBudget = apiVersion:string kind:string metadata:ObjectMeta spec:PodDisruptionBudgetSpec
      status:PodDisruptionBudgetStatus
    PodDisruptionBudgetSpec = minAvailable:intOrString selector:LabelSelector maxUnavailable:intOrString
      unhealthyPodEvictionPolicy:string
    PodDisruptionBudgetStatus = observedGeneration:int64 disruptedPods:{}time disruptionsAllowed:int32
      currentHealthy:int32 desiredHealthy:int32 expectedPods:int32 conditions:[]Condition
    Eviction = apiVersion:string kind:string metadata:ObjectMeta deleteOptions:DeleteOptions
    DeleteOptions = apiVersion:string kind:string gracePeriodSeconds:int64 preconditions:Preconditions
      orphanDependents:bool propagationPolicy:string dryRun:[]string
      ignoreStoreReadErrorWithClusterBreakingPotential:bool
    Preconditions = uid:string resourceVersion:string
    TokenRequest = apiVersion:string kind:string metadata:ObjectMeta spec:TokenRequestSpec status:TokenRequestStatus
    TokenRequestSpec = audiences:[]string expirationSeconds:int64 boundObjectRef:BoundObjectReference
    BoundObjectReference = kind:string apiVersion:string name:string uid:string
    TokenRequestStatus = token:string expirationTimestamp:time
    TokenReview = apiVersion:string kind:string metadata:ObjectMeta spec:TokenReviewSpec status:TokenReviewStatus
    TokenReviewSpec = token:string audiences:[]string
    TokenReviewStatus = authenticated:bool user:UserInfo audiences:[]string error:string
    SelfSubjectAccessReview = apiVersion:string kind:string metadata:ObjectMeta spec:SelfSubjectAccessReviewSpec
      status:SubjectAccessReviewStatus
    SelfSubjectAccessReviewSpec = resourceAttributes:ResourceAttributes nonResourceAttributes:NonResourceAttributes
    ResourceAttributes = namespace:string verb:string group:string version:string resource:string subresource:string
      name:string fieldSelector:any labelSelector:any
    NonResourceAttributes = path:string verb:string
    SubjectAccessReviewStatus = allowed:bool denied:bool reason:string evaluationError:string
    SubjectAccessReview = apiVersion:string kind:string metadata:ObjectMeta spec:SubjectAccessReviewSpec
      status:SubjectAccessReviewStatus
    LocalSubjectAccessReview = apiVersion:string kind:string metadata:ObjectMeta spec:SubjectAccessReviewSpec
      status:SubjectAccessReviewStatus
    SubjectAccessReviewSpec = resourceAttributes:ResourceAttributes nonResourceAttributes:NonResourceAttributes
      user:string groups:[]string extra:any uid:string
    SelfSubjectRulesReview = apiVersion:string kind:string metadata:ObjectMeta spec:SelfSubjectRulesReviewSpec
      status:SubjectRulesReviewStatus
    SelfSubjectRulesReviewSpec = namespace:string
    SubjectRulesReviewStatus = resourceRules:[]ResourceRule nonResourceRules:[]NonResourceRule incomplete:bool
      evaluationError:string
    ResourceRule = verbs:[]string apiGroups:[]string resources:[]string resourceNames:[]string
    NonResourceRule = verbs:[]string nonResourceURLs:[]string
    SelfSubjectReview = apiVersion:string kind:string metadata:ObjectMeta status:SelfSubjectReviewStatus
    SelfSubjectReviewStatus = userInfo:UserInfo
    UserInfo = username:string uid:string groups:[]string extra:any
    """
}
