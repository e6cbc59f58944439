// Descriptions of containers, their environment, probes and rights. Data, no behaviour.

extension Descriptions {
  static let containers = """
    Container: Container is one process tree of a pod.
      name: The container's name, one of its pod.
      image: Shown only: no images are pulled, the command runs from the node's own files.
      command: The program and its first arguments, looked up in the node's PATH. Without it the pod waits with
        CreateContainerConfigError, as there is no image whose entry point could run.
      args: Further arguments. $(NAME) stands for a variable of env.
      workingDir: The directory that the program starts in.
      ports: Ports that the program listens on. Kept: they are the node's as they are.
      envFrom: ConfigMaps and Secrets whose keys become variables.
      env: Variables; they win over envFrom.
      resources: What the container asks of its node.
      resizePolicy: What a change of resources means for a container that runs.
      restartPolicy: Goes before the pod's, for this container alone. Always makes of an init container one that goes
        on beside the containers.
      restartPolicyRules: Rules about exit codes that restart the container.
      volumeMounts: Where the pod's volumes appear.
      volumeDevices: Block devices.
      livenessProbe: A check that restarts the container when it fails.
      readinessProbe: A check that says whether the container is ready.
      startupProbe: A check that says whether the program has started.
      lifecycle: What runs after the start and before the end.
      terminationMessagePath: A file whose last 4096 bytes are the message of the container's end.
      terminationMessagePolicy: File, or FallbackToLogsOnError: a failure without a message shows the end of its log.
      imagePullPolicy: When the image is asked for anew: Always, IfNotPresent or Never.
      securityContext: Users and rights of the container.
      stdin: Keep an input open for the container.
      stdinOnce: Close the input after the first client.
      tty: Give the container a terminal.
    EphemeralContainer: EphemeralContainer is a container that was added to a pod that is there, by its part
        ephemeralcontainers alone, as kubectl debug does. It is never restarted, and its pod does not wait for it.
      targetContainerName: The container of the pod whose processes it sees; absent, its own alone, or the pod's where
        those are shared.
    SecurityContext: SecurityContext is users and rights of a container.
      capabilities: Rights of root to add or to take away.
      privileged: Run with all rights of the node.
      seLinuxOptions: The SELinux label.
      windowsOptions: Options for Windows.
      runAsUser: The user id.
      runAsGroup: The group id.
      runAsNonRoot: Refuse to start as root.
      readOnlyRootFilesystem: Make everything but volumes read-only.
      allowPrivilegeEscalation: true, or absent. false is refused in this version.
      procMount: How /proc is mounted.
      seccompProfile: The filter of system calls; Localhost names a file of the node's.
      appArmorProfile: The AppArmor profile; any but Unconfined is refused in this version.
    Capabilities: Capabilities are single rights of root.
      add: Rights to add.
      drop: Rights to take away.
    ContainerRestartRule: ContainerRestartRule restarts a container by its exit code.
      action: Restart.
      exitCodes: Which exit codes it is about.
    ContainerRestartRuleOnExitCodes: ContainerRestartRuleOnExitCodes names exit codes.
      operator: In, or NotIn.
      values: The exit codes, at most 255.
    ContainerPort: ContainerPort is a port that a program listens on. Kept for reading.
      name: A name for the port.
      hostPort: The port of the node.
      containerPort: The port.
      protocol: TCP, UDP or SCTP; TCP when absent.
      hostIP: The node's address to listen on.
    EnvFromSource: EnvFromSource makes variables of all keys of a ConfigMap or Secret.
      prefix: Text before every key.
      configMapRef: The ConfigMap.
      secretRef: The Secret.
    ConfigMapEnvSource: ConfigMapEnvSource names a ConfigMap.
      name: Its name in the pod's namespace.
      optional: The pod starts even where it is missing.
    SecretEnvSource: SecretEnvSource names a Secret.
      name: Its name in the pod's namespace.
      optional: The pod starts even where it is missing.
    EnvVar: EnvVar is one variable.
      name: The variable's name.
      value: Its value. $(NAME) stands for a variable before it.
      valueFrom: Where its value comes from; not beside value.
    EnvVarSource: EnvVarSource is where a value comes from; one of these.
      fieldRef: A field of the pod.
      resourceFieldRef: A request or limit of a container.
      configMapKeyRef: A key of a ConfigMap.
      secretKeyRef: A key of a Secret.
      fileKeyRef: A key of a file in a volume.
    ObjectFieldSelector: ObjectFieldSelector names a field of the pod.
      apiVersion: The version of the schema; v1 when absent.
      fieldPath: The field, as metadata.name or status.hostIP.
    ResourceFieldSelector: ResourceFieldSelector names a request or limit.
      containerName: The container; in variables the one itself when absent.
      resource: limits.cpu, limits.memory, requests.cpu or requests.memory and their like.
      divisor: The unit of the value, rounded up; 1 when absent.
    ConfigMapKeySelector: ConfigMapKeySelector names a key of a ConfigMap.
      name: The ConfigMap's name in the pod's namespace.
      key: The key.
      optional: The pod starts even where it is missing.
    SecretKeySelector: SecretKeySelector names a key of a Secret.
      name: The Secret's name in the pod's namespace.
      key: The key.
      optional: The pod starts even where it is missing.
    ResourceRequirements: ResourceRequirements is what a container asks of its node.
      limits: The most that it may use of cpu and memory; enforced where its node can, see the condition LimitsEnforced.
      requests: What the scheduler keeps free for it: cpu and memory. Other resources are refused or have no effect.
      claims: Devices that it uses.
    Probe: Probe is a check of a container that is made again and again.
      exec: A command; its success counts.
      httpGet: A request over HTTP; an answer below 400 counts.
      tcpSocket: A connection; that it opens counts.
      grpc: A health check over gRPC.
      initialDelaySeconds: Seconds from the start to the first check.
      timeoutSeconds: Seconds that a check may take.
      periodSeconds: Seconds between checks.
      successThreshold: Successes in a row after a failure.
      failureThreshold: Failures in a row that count as one.
      terminationGracePeriodSeconds: The grace of a container that a probe ends.
    Lifecycle: Lifecycle is what runs around a container's life.
      postStart: What runs after the start.
      preStop: What runs before SIGTERM.
      stopSignal: The signal that stops the container.
    LifecycleHandler: LifecycleHandler is something to do; one of these.
      exec: A command.
      httpGet: A request over HTTP.
      tcpSocket: A connection; as a hook it always fails.
      sleep: Waiting.
    ExecAction: ExecAction is a command in the container.
      command: The program and its arguments; no shell.
    HTTPGetAction: HTTPGetAction is a request over HTTP.
      path: The path.
      port: The port's number or name.
      host: The host; the pod itself when absent.
      scheme: HTTP or HTTPS.
      httpHeaders: Headers.
    HTTPHeader: HTTPHeader is a header.
      name: Its name.
      value: Its value.
    TCPSocketAction: TCPSocketAction is a connection.
      port: The port's number or name.
      host: The host; the pod itself when absent.
    GRPCAction: GRPCAction is a health check over gRPC.
      port: The port.
      service: The service that is asked about.
    SleepAction: SleepAction is waiting.
      seconds: How long.
    """
}
