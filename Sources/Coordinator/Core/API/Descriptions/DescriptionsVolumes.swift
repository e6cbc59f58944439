// Descriptions of volumes and mounts. Data, no behaviour.

extension Descriptions {
  static let volumes = """
    VolumeMount: VolumeMount makes a volume appear in a container.
      name: The volume.
      readOnly: Nothing may be written there by this container.
      recursiveReadOnly: Disabled, or absent; others are refused in this version.
      mountPath: The absolute path in the container.
      subPath: What of the volume is mounted; all of it when absent.
      mountPropagation: Whether mounts made later are seen.
      subPathExpr: As subPath, with $(VAR) of the container's environment in it.
    Volume: Volume is files for the containers of a pod, from one of these sources; an emptyDir when there is none.
      name: The volume's name, one of its pod.
      configMap: The keys of a ConfigMap as files, written when the pod starts.
      secret: The keys of a Secret as files, written when the pod starts.
      emptyDir: A directory that lives as long as the pod.
      hostPath: A file or directory of the node.
      downwardAPI: Fields of the pod as files, written when the pod starts.
      projected: Files of several Secrets, ConfigMaps and of the pod's own fields in one directory.
      awsElasticBlockStore: A disk of AWS.
      azureDisk: A disk of Azure.
      azureFile: A share of Azure.
      cephfs: A file system of Ceph.
      cinder: A disk of OpenStack.
      csi: A volume of a storage driver.
      ephemeral: A claim that lives as long as the pod.
      fc: A disk over Fibre Channel.
      flexVolume: A volume of a driver on the node.
      flocker: A volume of Flocker.
      gcePersistentDisk: A disk of Google's cloud.
      gitRepo: A clone of a repository.
      glusterfs: A volume of Gluster.
      image: The files of an image.
      iscsi: A disk over iSCSI.
      nfs: A share over NFS; make a PersistentVolume of it.
      persistentVolumeClaim: A claim of storage in the pod's namespace.
      photonPersistentDisk: A disk of Photon.
      portworxVolume: A volume of Portworx.
      quobyte: A volume of Quobyte.
      rbd: A block device of Ceph.
      scaleIO: A volume of ScaleIO.
      storageos: A volume of StorageOS.
      vsphereVolume: A disk of vSphere.
    ConfigMapVolumeSource: ConfigMapVolumeSource is the keys of a ConfigMap as files.
      name: The ConfigMap's name in the pod's namespace.
      items: Which keys, and the path of the file that each becomes; absent: every key.
      defaultMode: Permissions of the files that name none; 0644 when absent.
      optional: The pod starts even where it is missing.
    SecretVolumeSource: SecretVolumeSource is the keys of a Secret as files.
      secretName: The Secret's name in the pod's namespace.
      items: Which keys, and the path of the file that each becomes; absent: every key.
      defaultMode: Permissions of the files that name none; 0644 when absent.
      optional: The pod starts even where it is missing.
    KeyToPath: KeyToPath makes a file of a key.
      key: The key.
      path: The file's path in the volume.
      mode: Permissions of this file.
    DownwardAPIVolumeSource: DownwardAPIVolumeSource is fields of the pod as files.
      items: The files and the field of the pod that each holds.
      defaultMode: Permissions of the files that name none; 0644 when absent.
    DownwardAPIVolumeFile: DownwardAPIVolumeFile is a file that holds a field of the pod.
      path: The file's path in the volume.
      fieldRef: A field of the pod.
      resourceFieldRef: A request or limit of a container.
      mode: Permissions of this file.
    ProjectedVolumeSource: ProjectedVolumeSource is files of several sources in one directory.
      sources: Where the files come from: secret, configMap or downwardAPI.
      defaultMode: Permissions of the files that name none; 0644 when absent.
    VolumeProjection: VolumeProjection is one source of a projected volume.
      secret: Keys of a Secret.
      downwardAPI: Fields of the pod.
      configMap: Keys of a ConfigMap.
      serviceAccountToken: A token of the pod's account.
      clusterTrustBundle: Certificates that the cluster trusts.
      podCertificate: A certificate for the pod.
    SecretProjection: SecretProjection is keys of a Secret.
      name: The Secret's name in the pod's namespace.
      items: Which keys, and the path of the file that each becomes; absent: every key.
      optional: The pod starts even where it is missing.
    ConfigMapProjection: ConfigMapProjection is keys of a ConfigMap.
      name: The ConfigMap's name in the pod's namespace.
      items: Which keys, and the path of the file that each becomes; absent: every key.
      optional: The pod starts even where it is missing.
    DownwardAPIProjection: DownwardAPIProjection is fields of the pod.
      items: The files and the field of the pod that each holds.
    ServiceAccountTokenProjection: ServiceAccountTokenProjection is a token as a file.
      audience: Whom the token is for.
      expirationSeconds: How long it is valid.
      path: The file's path in the volume.
    EmptyDirVolumeSource: EmptyDirVolumeSource is a directory that lives as long as the pod.
      medium: Memory keeps it in memory, which counts for the container that writes; else it is on the node's disk.
      sizeLimit: The most that it may hold.
    HostPathVolumeSource: HostPathVolumeSource is a file or directory of the node.
      path: Its absolute path.
      type: What must be there, or is made, as Directory or DirectoryOrCreate; empty: nothing is checked.
    """
}
