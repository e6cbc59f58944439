// The tables of storage: what SchemaTypes and ProtobufTypes say of other kinds, in their forms, of PersistentVolumes,
// claims and StorageClasses. Data, no behaviour.

extension Schema {
  static let storageTypes = """
    PersistentVolume = apiVersion:string kind:string metadata:ObjectMeta spec:PersistentVolumeSpec
      status:PersistentVolumeStatus
    PersistentVolumeSpec = capacity:{}quantity hostPath:HostPathVolumeSource local:LocalVolumeSource
      nfs:NFSVolumeSource accessModes:[]string claimRef:ObjectReference persistentVolumeReclaimPolicy:string
      storageClassName:string mountOptions:[]string volumeMode:string nodeAffinity:VolumeNodeAffinity
      volumeAttributesClassName:string! awsElasticBlockStore:any! azureDisk:any! azureFile:any! cephfs:any! cinder:any!
      csi:any! fc:any! flexVolume:any! flocker:any! gcePersistentDisk:any! glusterfs:any! iscsi:any!
      photonPersistentDisk:any! portworxVolume:any! quobyte:any! rbd:any! scaleIO:any! storageos:any!
      vsphereVolume:any!
    LocalVolumeSource = path:string fsType:string~
    NFSVolumeSource = server:string path:string readOnly:bool
    VolumeNodeAffinity = required:NodeSelector
    PersistentVolumeStatus = phase:string message:string reason:string lastPhaseTransitionTime:time
    PersistentVolumeClaim = apiVersion:string kind:string metadata:ObjectMeta spec:PersistentVolumeClaimSpec
      status:PersistentVolumeClaimStatus
    PersistentVolumeClaimSpec = accessModes:[]string selector:LabelSelector resources:VolumeResourceRequirements
      volumeName:string storageClassName:string volumeMode:string dataSource:any! dataSourceRef:any!
      volumeAttributesClassName:string!
    VolumeResourceRequirements = limits:{}quantity requests:{}quantity
    PersistentVolumeClaimStatus = phase:string accessModes:[]string capacity:{}quantity
      conditions:[]PersistentVolumeClaimCondition allocatedResources:{}quantity allocatedResourceStatuses:{}string
      currentVolumeAttributesClassName:string modifyVolumeStatus:any
    PersistentVolumeClaimCondition = type:string status:string lastProbeTime:time lastTransitionTime:time reason:string
      message:string
    StorageClass = apiVersion:string kind:string metadata:ObjectMeta provisioner:string parameters:{}string~
      reclaimPolicy:string mountOptions:[]string~ allowVolumeExpansion:bool~ volumeBindingMode:string
      allowedTopologies:[]any!
    """
}

extension Protobuf {
  static let storageTypes = """
    PersistentVolumeClaimVolumeSource = claimName=1:string readOnly=2:bool
    EphemeralVolumeSource = volumeClaimTemplate=1:PersistentVolumeClaimTemplate
    PersistentVolumeClaimTemplate = metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec
    PersistentVolume = metadata=1:ObjectMeta spec=2:PersistentVolumeSpec status=3:PersistentVolumeStatus
    PersistentVolumeSpec = capacity=1:{}quantity .=2:PersistentVolumeSource accessModes=3:[]string
      claimRef=4:ObjectReference persistentVolumeReclaimPolicy=5:string storageClassName=6:string
      mountOptions=7:[]string volumeMode=8:*string nodeAffinity=9:VolumeNodeAffinity
      volumeAttributesClassName=10:*string
    PersistentVolumeSource = gcePersistentDisk=1:unserved awsElasticBlockStore=2:unserved
      hostPath=3:HostPathVolumeSource glusterfs=4:unserved nfs=5:NFSVolumeSource rbd=6:unserved iscsi=7:unserved
      cinder=8:unserved cephfs=9:unserved fc=10:unserved flocker=11:unserved flexVolume=12:unserved
      azureFile=13:unserved vsphereVolume=14:unserved quobyte=15:unserved azureDisk=16:unserved
      photonPersistentDisk=17:unserved portworxVolume=18:unserved scaleIO=19:unserved local=20:LocalVolumeSource
      storageos=21:unserved csi=22:unserved
    LocalVolumeSource = path=1:string fsType=2:*string
    NFSVolumeSource = server=1:string path=2:string readOnly=3:bool
    VolumeNodeAffinity = required=1:NodeSelector
    PersistentVolumeStatus = phase=1:string message=2:string reason=3:string lastPhaseTransitionTime=4:time
    PersistentVolumeClaim = metadata=1:ObjectMeta spec=2:PersistentVolumeClaimSpec
      status=3:PersistentVolumeClaimStatus
    PersistentVolumeClaimSpec = accessModes=1:[]string resources=2:VolumeResourceRequirements volumeName=3:string
      selector=4:LabelSelector storageClassName=5:*string volumeMode=6:*string dataSource=7:unserved
      dataSourceRef=8:unserved volumeAttributesClassName=9:*string
    VolumeResourceRequirements = limits=1:{}quantity requests=2:{}quantity
    PersistentVolumeClaimStatus = phase=1:string accessModes=2:[]string capacity=3:{}quantity
      conditions=4:[]PersistentVolumeClaimCondition allocatedResources=5:{}quantity
      allocatedResourceStatuses=7:{}string currentVolumeAttributesClassName=8:*string modifyVolumeStatus=9:unserved
    PersistentVolumeClaimCondition = type=1:string status=2:string lastProbeTime=3:time lastTransitionTime=4:time
      reason=5:string message=6:string
    StorageClass = metadata=1:ObjectMeta provisioner=2:string parameters=3:{}string reclaimPolicy=4:*string
      mountOptions=5:[]string allowVolumeExpansion=6:*bool volumeBindingMode=7:*string allowedTopologies=8:unserved
    """
}
