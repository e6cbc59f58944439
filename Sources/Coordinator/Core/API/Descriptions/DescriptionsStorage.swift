// Descriptions of volumes that outlive pods, and of claims to them. Data, no behaviour.

extension Descriptions {
  static let storage = """
    PersistentVolumeClaimVolumeSource: PersistentVolumeClaimVolumeSource is the volume of a claim.
      claimName: The claim's name in the pod's namespace.
      readOnly: No container may write there.
    EphemeralVolumeSource: EphemeralVolumeSource is the volume of a claim that is made for the pod and goes with it.
      volumeClaimTemplate: The claim, which is named POD-VOLUME.
    PersistentVolumeClaimTemplate: PersistentVolumeClaimTemplate is what claims are made of.
      metadata: Labels and annotations of the claim; nothing else.
      spec: The claim's spec.
    PersistentVolume: PersistentVolume is storage that outlives pods. A claim gets it.
    PersistentVolumeSpec: PersistentVolumeSpec is where a volume is, and for whom.
      capacity: What it holds, as storage. Nothing enforces it.
      hostPath: A file or directory of the node; of every node unless nodeAffinity says which.
      local: A directory of the nodes of nodeAffinity. Of a volume that the cluster has made the path is below the data
        directory of the node's agent.
      nfs: A share over NFS, which a node mounts that runs as root and has nfs-common.
      accessModes: ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod. A claim gets a volume that has all
        of its modes.
      claimRef: The claim that it is bound to, or is kept for.
      persistentVolumeReclaimPolicy: Retain keeps it when its claim is gone; Delete removes it, where the cluster has
        made it. Recycle is refused.
      storageClassName: Its class: claims of the same class alone get it.
      mountOptions: Options of an NFS mount.
      volumeMode: Filesystem; Block is refused.
      nodeAffinity: The nodes that reach it; absent: all. It cannot be changed.
      volumeAttributesClassName: Attributes of a storage driver's volume.
      awsElasticBlockStore: A disk of AWS.
      azureDisk: A disk of Azure.
      azureFile: A share of Azure.
      cephfs: A file system of Ceph.
      cinder: A disk of OpenStack.
      csi: A volume of a storage driver.
      fc: A disk over Fibre Channel.
      flexVolume: A volume of a driver on the node.
      flocker: A volume of Flocker.
      gcePersistentDisk: A disk of Google's cloud.
      glusterfs: A volume of Gluster.
      iscsi: A disk over iSCSI.
      photonPersistentDisk: A disk of Photon.
      portworxVolume: A volume of Portworx.
      quobyte: A volume of Quobyte.
      rbd: A block device of Ceph.
      scaleIO: A volume of ScaleIO.
      storageos: A volume of StorageOS.
      vsphereVolume: A disk of vSphere.
    LocalVolumeSource: LocalVolumeSource is a directory of a node.
      path: The directory.
      fsType: The file system of a block device, which is not mounted here.
    NFSVolumeSource: NFSVolumeSource is a share over NFS.
      server: The server's name or address.
      path: What it shares; absolute.
      readOnly: It is mounted without the right to write.
    VolumeNodeAffinity: VolumeNodeAffinity says which nodes reach a volume.
      required: One of its terms has to hold of the node.
    PersistentVolumeStatus: PersistentVolumeStatus is how a volume stands.
      phase: Available, Bound, Released, when its claim is gone, or Failed, when it could not be removed.
      message: Why it is so.
      reason: A word for that.
      lastPhaseTransitionTime: Since when.
    PersistentVolumeClaim: PersistentVolumeClaim asks for storage that outlives pods. Pods name it as a volume.
    PersistentVolumeClaimSpec: PersistentVolumeClaimSpec is what a claim asks for. It cannot be changed.
      accessModes: How it is used. Of ReadWriteOncePod one pod alone may run with it at a time; the others only have a
        say in which volume it gets.
      selector: Labels that the volume must have.
      resources: How much it asks for.
      volumeName: The volume that it has, or asks for by name.
      storageClassName: Its class; when absent, the one for all. Empty: volumes without a class.
      volumeMode: Filesystem; Block is refused.
      dataSource: What the volume is filled with.
      dataSourceRef: What the volume is filled with.
      volumeAttributesClassName: Attributes of a storage driver's volume.
    VolumeResourceRequirements: VolumeResourceRequirements is how much a claim asks for.
      limits: The most; without effect.
      requests: The least, as storage.
    PersistentVolumeClaimStatus: PersistentVolumeClaimStatus is how a claim stands.
      phase: Pending, Bound, or Lost when its volume is gone.
      accessModes: Those of its volume.
      capacity: What its volume holds.
      conditions: What happens to the volume; none in this version.
      allocatedResources: Of a volume that is resized; never in this version.
      allocatedResourceStatuses: Of a volume that is resized; never in this version.
      currentVolumeAttributesClassName: Attributes of a storage driver's volume.
      modifyVolumeStatus: Of a volume whose attributes change; never in this version.
    PersistentVolumeClaimCondition: PersistentVolumeClaimCondition is something that happens to a claim's volume.
      type: What happens.
      status: True, False or Unknown.
      lastProbeTime: When it was looked at.
      lastTransitionTime: Since when.
      reason: A word for why.
      message: Why, for people.
    StorageClass: StorageClass is a kind of storage that claims may ask for.
      provisioner: Who makes its volumes: stint.dev/local-path, a directory on the node of the first pod, or
        kubernetes.io/no-provisioner, nobody. Others are refused.
      parameters: Settings of a provisioner.
      reclaimPolicy: What becomes of its volumes when their claims are gone: Delete or Retain.
      mountOptions: Options of its volumes' mounts.
      allowVolumeExpansion: Whether its claims may grow.
      volumeBindingMode: Immediate, or WaitForFirstConsumer: a claim gets its volume with the node of its first pod.
      allowedTopologies: Where volumes may be made.
    """
}
