"""The methods by name. A table: code hashes do not follow it, so adding a line reruns nothing."""

METHODS = {
    "joint_embedding": "spectral_ssl.methods.joint_embedding:JointEmbedding",
    "simsiam": "spectral_ssl.methods.simsiam:SimSiam",
    "byol": "spectral_ssl.methods.byol:BYOL",
    "moco_v2": "spectral_ssl.methods.moco_v2:MoCoV2",
    "nnclr": "spectral_ssl.methods.nnclr:NNCLR",
}
