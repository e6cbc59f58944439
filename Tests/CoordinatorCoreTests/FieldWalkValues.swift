// Values for the walk over the schema's fields: valid ones where a type's plain sample is not, and what stands beside a
// field so that it is valid. Tables, no behaviour.

import ClusterProto

extension FieldWalk {
  /// Valid values, by struct and field.
  static let values: [String: JSON] = [
    "ObjectMeta.finalizers": ["example.com/x"], "ObjectMeta.labels": ["k": "v"],
    "OwnerReference.apiVersion": "example.com/v1", "OwnerReference.kind": "Thing",
    "LabelSelectorRequirement.operator": "In",
    "LabelSelectorRequirement.key": "k", "LabelSelectorRequirement.values": ["v"],
    "LabelSelector.matchLabels": ["k": "v"],
    "JobSpec.selector": ["matchLabels": ["k": "v"]], "JobSpec.completionMode": "NonIndexed",
    "JobSpec.podReplacementPolicy": "Failed", "JobSpec.managedBy": "kubernetes.io/job-controller",
    "PodSpec.restartPolicy": "OnFailure", "PodSpec.dnsPolicy": "Default", "PodSpec.nodeSelector": ["k": "v"],
    "PodSpec.schedulerName": "default-scheduler", "PodSpec.serviceAccountName": "default",
    "PodSpec.serviceAccount": "default", "PodSpec.preemptionPolicy": "Never", "PodOS.name": "linux",
    "PodSpec.hostUsers": true, "SecurityContext.allowPrivilegeEscalation": true,
    "SeccompProfile.type": "Unconfined", "SecurityContext.procMount": "Default",
    "PodSecurityContext.fsGroupChangePolicy": "Always", "Toleration.operator": "Exists",
    "Toleration.effect": "NoExecute", "TopologySpreadConstraint.whenUnsatisfiable": "ScheduleAnyway",
    "Container.name": "other", "Container.restartPolicy": "Always", "Container.imagePullPolicy": "Never",
    "Container.terminationMessagePolicy": "File",
    "Container.terminationMessagePath": "/dev/other", "ContainerPort.protocol": "UDP",
    "ContainerPort.containerPort": 8080, "ContainerPort.hostPort": 80, "EnvVar.name": "NAME",
    "ObjectFieldSelector.apiVersion": "v1", "ObjectFieldSelector.fieldPath": "metadata.name",
    "ResourceFieldSelector.resource": "requests.cpu", "ResourceFieldSelector.containerName": "c",
    "ResourceRequirements.limits": ["cpu": "2"], "ResourceRequirements.requests": ["cpu": "1"],
    "VolumeMount.mountPath": "/other", "VolumeMount.name": "v", "VolumeMount.recursiveReadOnly": "Disabled",
    "VolumeMount.mountPropagation": "None", "Volume.name": "w", "HostPathVolumeSource.path": "/tmp",
    "HostPathVolumeSource.type": "Directory", "EmptyDirVolumeSource.medium": "Memory",
    "Taint.effect": "NoSchedule", "Lease.spec": [:], "PriorityClass.preemptionPolicy": "Never",
    "NamespaceSpec.finalizers": ["kubernetes"], "ObjectReference.namespace": "default",
    "JobCondition.type": "Suspended", "JobCondition.status": "True", "PodStatus.phase": "Running",
    "NamespaceStatus.phase": "Active", "NamespaceCondition.type": "Other",
    "PodStatus.resourceClaimStatuses": [["name": "x"]],
    "HTTPGetAction.scheme": "HTTPS", "HTTPGetAction.port": 8080, "TCPSocketAction.port": 8080, "GRPCAction.port": 8080,
    "Probe.successThreshold": 1, "ServiceAccountTokenProjection.expirationSeconds": 700,
    "Container.volumeDevices": [["devicePath": "/dev/x", "name": "x"]],
    "PodSpec.ephemeralContainers": [["name": "x"]], "PodSpec.resourceClaims": [["name": "x"]],
    "NodeCondition.type": "Ready", "PodStatus.qosClass": "Burstable",
    "ServiceSpec.selector": ["k": "v"], "NodeStatus.capacity": ["cpu": "2"], "NodeStatus.allocatable": ["cpu": "2"],
  ]

  /// What a struct that the base lacks needs, whichever of its fields is set.
  static let neighbours: [String: JSON] = [
    "OwnerReference": [
      "apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "11111111-2222-3333-4444-555555555555",
    ],
    "LabelSelectorRequirement": ["key": "k", "operator": "In", "values": ["v"]],
    "Toleration": ["key": "k", "operator": "Exists", "effect": "NoExecute"],
    "TopologySpreadConstraint": ["maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"],
    "Container": ["name": "init", "image": "busybox", "command": ["true"], "restartPolicy": "Always"],
    "ContainerPort": ["containerPort": 80], "EnvVar": ["name": "NAME"],
    "ConfigMapEnvSource": ["name": "x"], "SecretEnvSource": ["name": "x"],
    "ObjectFieldSelector": ["fieldPath": "metadata.name"],
    "ResourceFieldSelector": ["containerName": "c", "resource": "requests.cpu"],
    "ConfigMapKeySelector": ["name": "x", "key": "k"], "SecretKeySelector": ["name": "x", "key": "k"],
    "ServiceAccountTokenProjection": ["path": "token"],
    "VolumeMount": ["name": "v", "mountPath": "/v"], "Volume": ["name": "v"],
    "ConfigMapVolumeSource": ["name": "x"], "SecretVolumeSource": ["secretName": "x"],
    "KeyToPath": ["key": "k", "path": "p"],
    "DownwardAPIVolumeFile": ["path": "p"],
    "ConfigMapProjection": ["name": "x"], "SecretProjection": ["name": "x"],
    "HostPathVolumeSource": ["path": "/tmp"], "Taint": ["key": "k", "effect": "NoSchedule"],
    "PodFailurePolicyRule": ["action": "Ignore"],
    "JobCondition": ["type": "Suspended", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"],
    "PodCondition": ["type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"],
    "NodeCondition": ["type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"],
    "NamespaceCondition": ["type": "Other", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"],
    "NodeAddress": ["type": "InternalIP", "address": "10.0.0.1"],
    "ContainerStatus": ["name": "c", "image": "busybox", "state": ["waiting": ["reason": "x"]]],
    "ServicePort": ["port": 81, "protocol": "TCP"], "ObjectReference": ["name": "x"], "HostAlias": ["ip": "10.0.0.1"],
    "PodIP": ["ip": "10.0.0.1"], "HTTPGetAction": ["path": "/", "port": 80, "scheme": "HTTP"],
    "TCPSocketAction": ["port": 80], "GRPCAction": ["port": 80],
    "HostIP": ["ip": "10.0.0.1"], "NamespaceStatus": ["phase": "Active"],
  ]

  /// What one field needs beside it.
  static let besides: [String: JSON] = [
    "JobSpec.selector": ["manualSelector": true], "JobSpec.manualSelector": ["selector": ["matchLabels": ["k": "v"]]],
    "Toleration.value": ["operator": "Equal"],
    "DownwardAPIVolumeFile.mode": ["fieldRef": ["fieldPath": "metadata.name"]],
    "DownwardAPIVolumeFile.path": ["fieldRef": ["fieldPath": "metadata.name"]],
    "PodSpec.containers": ["volumes": [["name": "v", "emptyDir": [:]]]],
    "PodSpec.initContainers": ["volumes": [["name": "v", "emptyDir": [:]]]],
    "ContainerPort.hostPort": ["containerPort": 80],
    "EnvFromSource.prefix": ["configMapRef": ["name": "x"]],
    "Probe.initialDelaySeconds": ["exec": ["command": ["true"]]],
    "Probe.timeoutSeconds": ["exec": ["command": ["true"]]],
    "Probe.periodSeconds": ["exec": ["command": ["true"]]],
    "Probe.successThreshold": ["exec": ["command": ["true"]]],
    "Probe.failureThreshold": ["exec": ["command": ["true"]]],
    "Probe.terminationGracePeriodSeconds": ["exec": ["command": ["true"]]],
  ]
}
