# Owns: bodies in Kubernetes' protobuf as Go's typed clients write them: what the types know, every zero that is no
# pointer. The numbers are those of Kubernetes' generated.proto, for the kinds that the programs here send.
# It must not know what is sent.

import calendar
import json
import re
import struct

# One line a type: `name=number:type`; `*` a pointer, whose zero is left out; `.` a struct that stands in its owner.
TYPES = """
ObjectMeta = name=1:string generateName=2:string namespace=3:string selfLink=4:string uid=5:string
  resourceVersion=6:string generation=7:int creationTimestamp=8:time deletionTimestamp=9:*time
  deletionGracePeriodSeconds=10:*int labels=11:{}string annotations=12:{}string ownerReferences=13:[]OwnerReference
  finalizers=14:[]string managedFields=17:[]ManagedFieldsEntry
OwnerReference = kind=1:string name=3:string uid=4:string apiVersion=5:string controller=6:*int
  blockOwnerDeletion=7:*int
ManagedFieldsEntry = manager=1:string operation=2:string apiVersion=3:string time=4:*time fieldsType=6:string
  fieldsV1=7:*raw subresource=8:string
LabelSelector = matchLabels=1:{}string
Namespace = metadata=1:ObjectMeta spec=2:NamespaceSpec status=3:NamespaceStatus
NamespaceSpec = finalizers=1:[]string
NamespaceStatus = phase=1:string conditions=2:[]NamespaceCondition
NamespaceCondition = type=1:string status=2:string lastTransitionTime=4:time reason=5:string message=6:string
Job = metadata=1:ObjectMeta spec=2:JobSpec status=3:JobStatus
JobSpec = parallelism=1:*int completions=2:*int activeDeadlineSeconds=3:*int selector=4:*LabelSelector
  manualSelector=5:*int template=6:PodTemplateSpec backoffLimit=7:*int completionMode=9:*string suspend=10:*int
  podFailurePolicy=11:*PodFailurePolicy podReplacementPolicy=14:*string
PodFailurePolicy = rules=1:[]PodFailurePolicyRule
PodFailurePolicyRule = action=1:string onExitCodes=2:*OnExitCodes onPodConditions=3:[]OnPodCondition
OnExitCodes = containerName=1:*string operator=2:string values=3:[]int
OnPodCondition = type=1:string status=2:string
JobStatus = conditions=1:[]Condition startTime=2:*time completionTime=3:*time active=4:int succeeded=5:int failed=6:int
  completedIndexes=7:string uncountedTerminatedPods=8:*Uncounted ready=9:*int failedIndexes=10:*string
  terminating=11:*int
Uncounted = succeeded=1:[]string failed=2:[]string
Condition = type=1:string status=2:string lastProbeTime=3:time lastTransitionTime=4:time reason=5:string
  message=6:string
PodTemplateSpec = metadata=1:ObjectMeta spec=2:PodSpec
Pod = metadata=1:ObjectMeta spec=2:PodSpec status=3:PodStatus
PodSpec = volumes=1:[]Volume containers=2:[]Container restartPolicy=3:string terminationGracePeriodSeconds=4:*int
  dnsPolicy=6:string nodeSelector=7:{}string serviceAccountName=8:string serviceAccount=9:string nodeName=10:string
  hostNetwork=11:int hostPID=12:int hostIPC=13:int securityContext=14:*Nothing hostname=16:string subdomain=17:string
  schedulerName=19:string initContainers=20:[]Container tolerations=22:[]Toleration priorityClassName=24:string
  priority=25:*int enableServiceLinks=30:*int preemptionPolicy=31:*string
Nothing =
Toleration = key=1:string operator=2:string value=3:string effect=4:string tolerationSeconds=5:*int
Container = name=1:string image=2:string command=3:[]string args=4:[]string workingDir=5:string env=7:[]EnvVar
  resources=8:Nothing volumeMounts=9:[]VolumeMount terminationMessagePath=13:string imagePullPolicy=14:string
  securityContext=15:*SecurityContext stdin=16:int stdinOnce=17:int tty=18:int terminationMessagePolicy=20:string
SecurityContext = privileged=2:*int
EnvVar = name=1:string value=2:string valueFrom=3:*EnvVarSource
EnvVarSource = fieldRef=1:*ObjectFieldSelector
ObjectFieldSelector = apiVersion=1:string fieldPath=2:string
VolumeMount = name=1:string readOnly=2:int mountPath=3:string subPath=4:string mountPropagation=5:*string
  subPathExpr=6:string recursiveReadOnly=7:*string
Volume = name=1:string .=2:VolumeSource
VolumeSource = hostPath=1:*HostPath emptyDir=2:*EmptyDir projected=26:*Projected
HostPath = path=1:string type=2:*string
EmptyDir = medium=1:string
Projected = sources=1:[]VolumeProjection defaultMode=2:*int
VolumeProjection = downwardAPI=2:*DownwardAPI configMap=3:*ConfigMapProjection serviceAccountToken=4:*TokenProjection
DownwardAPI = items=1:[]DownwardFile
DownwardFile = path=1:string fieldRef=2:*ObjectFieldSelector
ConfigMapProjection = .=1:LocalObjectReference items=2:[]KeyToPath optional=4:*int
LocalObjectReference = name=1:string
KeyToPath = key=1:string path=2:string mode=3:*int
TokenProjection = audience=1:string expirationSeconds=2:*int path=3:string
PodStatus = phase=1:string conditions=2:[]Condition message=3:string reason=4:string hostIP=5:string podIP=6:string
  startTime=7:*time containerStatuses=8:[]ContainerStatus qosClass=9:string initContainerStatuses=10:[]ContainerStatus
  nominatedNodeName=11:string podIPs=12:[]IP resize=14:string hostIPs=16:[]IP observedGeneration=17:int
IP = ip=1:string
ContainerStatus = name=1:string state=2:ContainerState lastState=3:ContainerState ready=4:int restartCount=5:int
  image=6:string imageID=7:string containerID=8:string started=9:*int
ContainerState = waiting=1:*Waiting running=2:*Running terminated=3:*Terminated
Waiting = reason=1:string message=2:string
Running = startedAt=1:time
Terminated = exitCode=1:int signal=2:int reason=3:string message=4:string startedAt=5:time finishedAt=6:time
  containerID=7:string
Eviction = metadata=1:ObjectMeta deleteOptions=2:*DeleteOptions
DeleteOptions = gracePeriodSeconds=1:*int propagationPolicy=4:*string
"""
FIELD = re.compile(r"(\S+?)=(\d+):(\*?)(\[\]|\{\}|)(\S+)")
MESSAGES = {
    line.split(" ", 1)[0]: [(name, int(number), *rest) for name, number, *rest in FIELD.findall(line)]
    for line in TYPES.strip().replace("\n  ", " ").split("\n")}


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += struct.pack("B", value & 127 | 128)
        value >>= 7
    return out + struct.pack("B", value)


def tagged(number, content):
    """A field: a number as it is, anything else behind its length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def value_of(kind, value):
    if kind == "int":
        return int(value or 0)
    if kind == "string":
        return (value or "").encode()
    if kind == "raw":
        return tagged(1, json.dumps(value).encode())
    if kind == "time":
        if not value:
            return b""
        moment = calendar.timegm(tuple(int(part) for part in re.findall(r"\d+", value)[:6]))
        return tagged(1, moment) + tagged(2, 0)
    return message(kind, value or {})


def message(kind, thing):
    out = b""
    for name, number, star, many, inner in MESSAGES[kind]:
        value = thing if name == "." else thing.get(name)
        if many == "[]":
            out += b"".join(tagged(number, value_of(inner, item)) for item in value or [])
        elif many == "{}":
            out += b"".join(
                tagged(number, tagged(1, key.encode()) + tagged(2, value_of(inner, value[key]))) for key in value or {})
        elif value is not None or not star:
            out += tagged(number, value_of(inner, value))
    return out


def body(api_version, kind, thing):
    """The whole body: the magic number and the envelope with the object."""
    typed = tagged(1, api_version.encode()) + tagged(2, kind.encode())
    return b"k8s\0" + tagged(1, typed) + tagged(2, message(kind, thing)) + tagged(3, b"") + tagged(4, b"")
