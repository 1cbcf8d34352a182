"""Images in, masks out: single images, folders, videos and images of any size."""
